// Command main asks CloudNativePG's own webhooks what they would say to the resources in the files it is given.
//
// The webhooks are internal to their module, so this is built inside it, in a copy: see schemas.py.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"

	api "github.com/cloudnative-pg/cloudnative-pg/api/v1"
	webhook "github.com/cloudnative-pg/cloudnative-pg/internal/webhook/v1"
)

const group = "postgresql.cnpg.io/v1"

func main() {
	checked, wrong := 0, 0
	for _, file := range os.Args[1:] {
		text, err := os.ReadFile(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
		for {
			document, err := next(documents)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, file, err)
				os.Exit(2)
			}
			name, isOurs, err := check(document)
			if isOurs {
				checked++
			}
			if err != nil {
				wrong++
				fmt.Printf("%s: %s: %v\n", filepath.Base(file), name, err)
			}
		}
	}
	fmt.Println(checked, "resources")
	if wrong > 0 {
		os.Exit(1)
	}
}

// next returns the next document whole, however long it is.
func next(documents io.Reader) ([]byte, error) {
	var whole []byte
	piece := make([]byte, 1<<16)
	for {
		count, err := documents.Read(piece)
		whole = append(whole, piece[:count]...)
		if !errors.Is(err, io.ErrShortBuffer) {
			return whole, err
		}
	}
}

// check tells whether a document is for CloudNativePG, and what it has against it.
func check(document []byte) (name string, isOurs bool, err error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := strict.Unmarshal(document, &head); err != nil || head.APIVersion != group {
		return "", false, err
	}
	name = head.Kind + "/" + head.Metadata.Name
	ctx := context.Background()
	switch head.Kind {
	case "Cluster":
		cluster := &api.Cluster{}
		if err := strict.UnmarshalStrict(document, cluster); err != nil {
			return name, true, err
		}
		if err := (&webhook.ClusterCustomDefaulter{}).Default(ctx, cluster); err != nil {
			return name, true, err
		}
		_, err := (&webhook.ClusterCustomValidator{}).ValidateCreate(ctx, cluster)
		return name, true, err
	case "ScheduledBackup":
		backup := &api.ScheduledBackup{}
		if err := strict.UnmarshalStrict(document, backup); err != nil {
			return name, true, err
		}
		_, err := (&webhook.ScheduledBackupCustomValidator{}).ValidateCreate(ctx, backup)
		return name, true, err
	case "ImageCatalog":
		return name, true, strict.UnmarshalStrict(document, &api.ImageCatalog{})
	default:
		return name, true, errors.New("no kind that is expected here")
	}
}
