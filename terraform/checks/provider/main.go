// A Terraform provider that knows a schema and nothing else. It serves the JSON file that lies
// beside its executable as <executable>.schema.json: enough for init, validate and tests with
// mock_provider, where Terraform never asks a provider to plan, read or change anything.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type schemaFile struct {
	Provider          schema            `json:"provider"`
	ResourceSchemas   map[string]schema `json:"resource_schemas"`
	DataSourceSchemas map[string]schema `json:"data_source_schemas"`
}

type schema struct {
	Version int64 `json:"version"`
	Block   block `json:"block"`
}

type block struct {
	Attributes map[string]attribute   `json:"attributes"`
	BlockTypes map[string]nestedBlock `json:"block_types"`
}

type attribute struct {
	Type       json.RawMessage `json:"type"`
	NestedType *nestedType     `json:"nested_type"`
	Required   bool            `json:"required"`
	Optional   bool            `json:"optional"`
	Computed   bool            `json:"computed"`
}

type nestedType struct {
	NestingMode string               `json:"nesting_mode"`
	Attributes  map[string]attribute `json:"attributes"`
}

type nestedBlock struct {
	NestingMode string `json:"nesting_mode"`
	Block       block  `json:"block"`
	MinItems    int64  `json:"min_items"`
	MaxItems    int64  `json:"max_items"`
}

var blockNesting = map[string]tfprotov6.SchemaNestedBlockNestingMode{
	"list":   tfprotov6.SchemaNestedBlockNestingModeList,
	"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
	"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
}

var objectNesting = map[string]tfprotov6.SchemaObjectNestingMode{
	"list":   tfprotov6.SchemaObjectNestingModeList,
	"map":    tfprotov6.SchemaObjectNestingModeMap,
	"set":    tfprotov6.SchemaObjectNestingModeSet,
	"single": tfprotov6.SchemaObjectNestingModeSingle,
}

func protocolAttributes(attributes map[string]attribute) ([]*tfprotov6.SchemaAttribute, error) {
	converted := make([]*tfprotov6.SchemaAttribute, 0, len(attributes))
	for name, from := range attributes {
		to := &tfprotov6.SchemaAttribute{
			Name: name, Required: from.Required, Optional: from.Optional, Computed: from.Computed,
		}
		if from.NestedType == nil {
			kind, err := tftypes.ParseJSONType(from.Type)
			if err != nil {
				return nil, fmt.Errorf("attribute %s: %w", name, err)
			}
			to.Type = kind
		} else {
			inner, err := protocolAttributes(from.NestedType.Attributes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			to.NestedType = &tfprotov6.SchemaObject{
				Nesting: objectNesting[from.NestedType.NestingMode], Attributes: inner,
			}
		}
		converted = append(converted, to)
	}
	return converted, nil
}

func protocolBlock(from block) (*tfprotov6.SchemaBlock, error) {
	attributes, err := protocolAttributes(from.Attributes)
	if err != nil {
		return nil, err
	}
	to := &tfprotov6.SchemaBlock{Attributes: attributes}
	for name, nested := range from.BlockTypes {
		inner, err := protocolBlock(nested.Block)
		if err != nil {
			return nil, fmt.Errorf("block %s: %w", name, err)
		}
		to.BlockTypes = append(to.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name, Nesting: blockNesting[nested.NestingMode],
			MinItems: nested.MinItems, MaxItems: nested.MaxItems, Block: inner,
		})
	}
	return to, nil
}

func protocolSchemas(schemas map[string]schema) (map[string]*tfprotov6.Schema, error) {
	converted := make(map[string]*tfprotov6.Schema, len(schemas))
	for name, from := range schemas {
		inner, err := protocolBlock(from.Block)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		converted[name] = &tfprotov6.Schema{Version: from.Version, Block: inner}
	}
	return converted, nil
}

func response(path string) (*tfprotov6.GetProviderSchemaResponse, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file schemaFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	configuration, err := protocolBlock(file.Provider.Block)
	if err != nil {
		return nil, err
	}
	resources, err := protocolSchemas(file.ResourceSchemas)
	if err != nil {
		return nil, err
	}
	dataSources, err := protocolSchemas(file.DataSourceSchemas)
	if err != nil {
		return nil, err
	}
	return &tfprotov6.GetProviderSchemaResponse{
		Provider:           &tfprotov6.Schema{Block: configuration},
		ResourceSchemas:    resources,
		DataSourceSchemas:  dataSources,
		ServerCapabilities: &tfprotov6.ServerCapabilities{GetProviderSchemaOptional: true},
	}, nil
}

// provider answers what init and validate ask. Every other call reaches the embedded nil interface
// and crashes the plugin, so a check that asked for more than a schema could not pass by accident.
type provider struct {
	tfprotov6.ProviderServer
	schemas *tfprotov6.GetProviderSchemaResponse
}

func (p provider) GetMetadata(
	context.Context, *tfprotov6.GetMetadataRequest,
) (*tfprotov6.GetMetadataResponse, error) {
	return &tfprotov6.GetMetadataResponse{}, nil
}

func (p provider) GetProviderSchema(
	context.Context, *tfprotov6.GetProviderSchemaRequest,
) (*tfprotov6.GetProviderSchemaResponse, error) {
	return p.schemas, nil
}

func (p provider) GetResourceIdentitySchemas(
	context.Context, *tfprotov6.GetResourceIdentitySchemasRequest,
) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (p provider) ValidateProviderConfig(
	_ context.Context, request *tfprotov6.ValidateProviderConfigRequest,
) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: request.Config}, nil
}

func (p provider) ValidateResourceConfig(
	context.Context, *tfprotov6.ValidateResourceConfigRequest,
) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (p provider) ValidateDataResourceConfig(
	context.Context, *tfprotov6.ValidateDataResourceConfigRequest,
) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

func (p provider) StopProvider(
	context.Context, *tfprotov6.StopProviderRequest,
) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func main() {
	executable, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	schemas, err := response(executable + ".schema.json")
	if err != nil {
		log.Fatal(err)
	}
	serve := func() tfprotov6.ProviderServer { return provider{schemas: schemas} }
	if err := tf6server.Serve("registry.terraform.io/tidemark/schema-only", serve); err != nil {
		log.Fatal(err)
	}
}
