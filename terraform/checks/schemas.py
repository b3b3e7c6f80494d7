"""Rebuilds provider schemas from the bindings that the CDK for Terraform published.

The bindings are generated from the real schemas and carry every resource, data source, block and
argument, so a misspelt or misplaced argument is found. They do not carry everything; README.md,
"How far the result can be trusted", lists what is lost.
"""

import json
import re
from pathlib import Path

# The bindings' storage classes, in the notation of `terraform providers schema -json`.
TYPES = {
    "any": "dynamic",
    "anyMap": ["map", "dynamic"],
    "boolean": "bool",
    "booleanList": ["list", "bool"],
    "booleanMap": ["map", "bool"],
    "number": "number",
    "numberList": ["list", "number"],
    "numberListList": ["list", ["list", "number"]],
    "numberMap": ["map", "number"],
    "string": "string",
    "stringList": ["list", "string"],
    "stringListList": ["list", ["list", "string"]],
    "stringListMap": ["map", ["list", "string"]],
    "stringMap": ["map", "string"],
    "stringMapList": ["list", ["map", "string"]],
    "stringMapMap": ["map", ["map", "string"]],
}
GETTERS = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "AnyMap": ["map", "dynamic"],
}
MAP_ELEMENTS = {"String": "string", "Number": "number", "Boolean": "bool", "Any": "dynamic"}

CLASS = re.compile(r"\nclass (\w+) extends [\w.]+ \{(.*?)\n\}\n", re.S)
ROOT_CLASS = re.compile(r"\nclass (\w+) extends cdktf\.Terraform(Resource|DataSource|Provider)")
STRUCT = re.compile(r"function (\w+)ToHclTerraform\(struct\) \{(.*?)\n\}\n", re.S)
SYNTHESIS = re.compile(r"synthesizeHclAttributes\(\) \{(.*?)\n    \}", re.S)
MEMBER = re.compile(
    r"(\w+): \{\s*value: (.*?),\s*isBlock: (true|false),"
    r'\s*type: "(\w+)",\s*storageClassType: "(\w+)",\s*\}',
    re.S,
)
MAPPER = re.compile(r"(\w+)ToHclTerraform")
GETTER = re.compile(
    r"return this\.get(%s)Attribute\('(\w+)'\)|cdktf\.Fn\.tolist\(this\.get(List)Attribute\('(\w+)'\)\)"
    % "|".join(GETTERS)
)
MAP_MEMBER = re.compile(r"new cdktf\.(String|Number|Boolean|Any)Map\(this, [\"'](\w+)[\"']\)")
OBJECT_MEMBER = re.compile(r"new (?:index_structs_\d+\.)?(\w+)\(this, [\"'](\w+)[\"'], (true|false)\)")
INTERFACE = re.compile(r"export interface (\w+)[^{]*\{(.*?)\n\}", re.S)
FIELD = re.compile(r"/\*\*(.*?)\*/\s*readonly \w+(\??): (.*?);\n(?=    /\*\*|\Z)", re.S)
FIELD_NAME = re.compile(r"#(\w+) \w+#\w+\}")
RESOURCE_TYPE = re.compile(r'tfResourceType = "([^"]+)"')
PROVIDER_VERSION = re.compile(r"providerVersion: '([^']+)'")


class UnknownShape(Exception):
    """The bindings hold something that this reader does not know; never guess a type."""


class Binding:
    """One folder of the bindings: a resource, a data source or the provider itself."""

    def __init__(self, folder: Path, attributes_as_blocks: bool):
        self.attributes_as_blocks = attributes_as_blocks
        script = self._text(folder, "js")
        declarations = self._text(folder, "d.ts")
        self.classes = dict(CLASS.findall(script))
        self.structs = dict(STRUCT.findall(script))
        self.interfaces = {name: self._fields(body) for name, body in INTERFACE.findall(declarations)}
        root = ROOT_CLASS.search(script)
        if root is None:
            raise UnknownShape("no resource class")
        self.root, self.role = root.groups()
        resource_type = RESOURCE_TYPE.search(script)
        self.resource_type = resource_type.group(1) if resource_type else None
        version = PROVIDER_VERSION.search(script)
        self.provider_version = version.group(1) if version else None

    @staticmethod
    def _text(folder: Path, extension: str) -> str:
        parts = [folder / f"index.{extension}"]
        parts += sorted((folder / "index-structs").glob(f"structs*.{extension}"))
        return "\n".join(part.read_text() for part in parts)

    @staticmethod
    def _fields(body: str) -> dict:
        """Maps a Terraform argument name to (required, TypeScript type, is a block)."""
        fields = {}
        for comment, optional, kind in FIELD.findall(body + "\n"):
            name = FIELD_NAME.search(comment)
            if name:
                is_block = f"* {name.group(1)} block\n" in comment
                fields[name.group(1)] = (optional != "?", kind, is_block)
        return fields

    def schema(self) -> dict:
        synthesis = SYNTHESIS.search(self.classes[self.root])
        config = self.interfaces.get(f"{self.root}Config", {})
        block = self._block(synthesis.group(1) if synthesis else "", config, self.classes[self.root])
        block.setdefault("attributes", {}).setdefault(
            "id", {"type": "string", "optional": True, "computed": True}
        )
        return {"version": 0, "block": block}

    def _block(self, members: str, fields: dict, class_body: str) -> dict:
        attributes, blocks = {}, {}
        for name, value, is_block, shape, storage in MEMBER.findall(members):
            required, declared, documented_as_block = fields.get(name, (False, "", True))
            # Which optional arguments are also computed is not in the bindings. Taking all of them
            # as computed keeps a reference to an argument that the provider fills in from failing.
            usage = {"required": True} if required else {"optional": True, "computed": True}
            if is_block == "false":
                attributes[name] = {"type": self._type(storage, shape), **usage}
                continue
            inner, struct = self._struct(value)
            many = "[]" in declared
            if name != "timeouts" and not documented_as_block:
                attributes[name] = {**self._object(inner, shape, many), **usage}
            elif name == "timeouts":
                blocks[name] = {"nesting_mode": "single", "block": inner}
            else:
                blocks[name] = {
                    # Terraform refuses a set of blocks that hold a value of any type, which the
                    # bindings use for endlessly nested blocks (firewall rules).
                    "nesting_mode": "set" if shape == "set" and not self._holds_any(inner) else "list",
                    "block": inner,
                    **({} if many else {"max_items": 1}),
                    **({"min_items": 1} if required else {}),
                }
        for name, attribute in self._computed(class_body).items():
            if name not in blocks:
                attributes.setdefault(name, attribute)
        return {
            **({"attributes": attributes} if attributes else {}),
            **({"block_types": blocks} if blocks else {}),
        }

    @staticmethod
    def _type(storage: str, shape: str):
        if storage not in TYPES:
            raise UnknownShape(f"storage class {storage}")
        kind = TYPES[storage]
        return ["set", kind[1]] if shape == "set" and isinstance(kind, list) else kind

    def _struct(self, value: str) -> tuple[dict, str]:
        mapper = MAPPER.search(value.replace("listMapperHcl", "").replace("hashMapperHcl", ""))
        if mapper is None:
            raise UnknownShape(f"block value {value}")
        struct = mapper.group(1)
        interface = struct[0].upper() + struct[1:]
        inner = self._block(
            self.structs.get(struct, ""),
            self.interfaces.get(interface, {}),
            self.classes.get(f"{interface}OutputReference", ""),
        )
        return inner, interface

    @classmethod
    def _holds_any(cls, block: dict) -> bool:
        attributes = block.get("attributes", {}).values()
        return any("dynamic" in str(attribute.get("type")) for attribute in attributes) or any(
            cls._holds_any(nested["block"]) for nested in block.get("block_types", {}).values()
        )

    def _object(self, inner: dict, shape: str, many: bool) -> dict:
        """An argument that holds objects without being a block."""
        nested = self._nested(inner, shape, many)
        if not (self.attributes_as_blocks and many):
            return {"nested_type": nested}
        # Plain lists of objects: Terraform then takes both ways to write them, as the real schema does.
        return {"type": [nested["nesting_mode"], ["object", self._member_types(nested["attributes"])]]}

    @classmethod
    def _member_types(cls, attributes: dict) -> dict:
        types = {}
        for name, attribute in attributes.items():
            if "nested_type" in attribute:
                nested = attribute["nested_type"]
                types[name] = [nested["nesting_mode"], ["object", cls._member_types(nested["attributes"])]]
            else:
                types[name] = attribute["type"]
        return types

    @staticmethod
    def _nested(inner: dict, shape: str, many: bool) -> dict:
        attributes = dict(inner.get("attributes", {}))
        for name, block in inner.get("block_types", {}).items():
            mode = "single" if block.get("max_items") == 1 else block["nesting_mode"]
            attributes[name] = {
                "nested_type": {"nesting_mode": mode, "attributes": block["block"].get("attributes", {})},
                "optional": True,
                "computed": True,
            }
        mode = "map" if shape == "map" else ("set" if shape == "set" else "list") if many else "single"
        return {"nesting_mode": mode, "attributes": attributes}

    def _computed(self, class_body: str) -> dict:
        """The attributes that only the provider sets, read from the class's getters."""
        found = {}
        for kind, name, list_kind, list_name in GETTER.findall(class_body):
            found[name or list_name] = {"type": GETTERS[kind or list_kind], "computed": True}
        for kind, name in MAP_MEMBER.findall(class_body):
            found[name] = {"type": ["map", MAP_ELEMENTS[kind]], "computed": True}
        for kind, name, is_set in OBJECT_MEMBER.findall(class_body):
            reference = self.classes.get(f"{kind.removesuffix('List')}OutputReference", "")
            members = {key: inner["type"] for key, inner in self._computed(reference).items()}
            container = "set" if is_set == "true" else "list"
            found[name] = {"type": [container, ["object", members]], "computed": True}
        return found


def rebuild(package: Path, attributes_as_blocks: bool) -> tuple[dict, list[str]]:
    """Returns a provider's whole schema and the names of the bindings that could not be read.

    Providers of the older kind have arguments that may be written as blocks too (`attributes_as_blocks`);
    the bindings tell them only by the missing word "block" in their comment.
    """
    schema = {"provider": None, "resource_schemas": {}, "data_source_schemas": {}}
    unread, version = [], None
    for folder in sorted((package / "lib").iterdir()):
        if not (folder / "index.js").is_file() or folder.name == "provider-functions":
            continue
        try:
            binding = Binding(folder, attributes_as_blocks)
            block = binding.schema()
        except (UnknownShape, KeyError) as problem:
            unread.append(f"{folder.name}: {problem}")
            continue
        version = version or binding.provider_version
        match binding.role:
            case "Provider":
                del block["block"]["attributes"]["id"]
                schema["provider"] = block
            case "DataSource":
                schema["data_source_schemas"][binding.resource_type] = block
            case "Resource":
                schema["resource_schemas"][binding.resource_type] = block
    schema["provider_version"] = version
    return schema, unread


def prune(schema: dict, used: set[str]) -> dict:
    """Keeps what the stacks use: a tenth of the start-up time and memory."""
    keep = lambda known: {name: block for name, block in known.items() if name in used}
    return {
        "provider_version": schema["provider_version"],
        "provider": schema["provider"],
        "resource_schemas": keep(schema["resource_schemas"]),
        "data_source_schemas": keep(schema["data_source_schemas"]),
    }


def write(package: Path, target: Path, attributes_as_blocks: bool) -> None:
    schema, unread = rebuild(package, attributes_as_blocks)
    target.write_text(json.dumps(schema))
    print(
        f"  {target.stem} {schema['provider_version']}: {len(schema['resource_schemas'])} resources,"
        f" {len(schema['data_source_schemas'])} data sources, {len(unread)} unread"
    )
    for line in unread:
        print(f"    unread {line}")
