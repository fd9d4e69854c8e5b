"""Record format conversion: JSON documents become one Parquet file with the columns of a table in Glue."""

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from twin import glue, role_checks
from twin.glue import firehose
from twin.glue.firehose import Undeliverable

_KIND = "format-conversion-failed"
_COMPRESSIONS = {"SNAPPY": "snappy", "GZIP": "gzip", "UNCOMPRESSED": "none"}
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S")


def is_wanted(configuration: dict[str, Any]) -> bool:
    """Whether a destination converts what it writes."""
    conversion = configuration.get("DataFormatConversionConfiguration") or {}
    return bool(conversion) and str(conversion.get("Enabled", True)).lower() == "true"


def table_of(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the table that the records must fit, as Firehose names it in its complaints."""
    schema = configuration["DataFormatConversionConfiguration"].get("SchemaConfiguration") or {}
    here = glue.current_scope()
    return {
        "catalogId": schema.get("CatalogId") or here.account,
        "databaseName": schema.get("DatabaseName"),
        "tableName": schema.get("TableName"),
        "region": schema.get("Region") or here.region,
        "versionId": schema.get("VersionId", "LATEST"),
    }


class Rows:
    """Rows of one file. Of an OpenX deserializer, names in any case and mapped keys are known."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        """Read the table's columns, with the role that the schema names."""
        conversion = configuration["DataFormatConversionConfiguration"]
        self._parquet = (
            (conversion.get("OutputFormatConfiguration") or {}).get("Serializer", {}).get("ParquetSerDe")
        )
        deserializer = (conversion.get("InputFormatConfiguration") or {}).get("Deserializer") or {}
        self._openx = deserializer.get("OpenXJsonSerDe") or {}
        self._columns = _columns(configuration)
        self._rows: list[list[Any]] = []

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def add(self, data: bytes) -> None:
        """Add a record's documents. Raises Undeliverable when they do not fit the table."""
        if self._parquet is None:
            raise Undeliverable(
                _KIND, "the twin converts to Parquet only", "DataFormatConversion.Unsupported"
            )
        if not self._columns:
            text = "The specified table/database could not be found."
            raise Undeliverable(_KIND, text, "DataFormatConversion.EntityNotFound")
        self._rows += [self._row(document) for document in firehose.json_documents(data)]

    def file(self) -> bytes:
        """Return the Parquet file of all rows."""
        import pyarrow as pa  # pyright: ignore[reportMissingImports]  # 0.3 s: only for who converts
        import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]

        arrays = [
            pa.array([row[position] for row in self._rows], type=_arrow(pa, kind))
            for position, (_, kind) in enumerate(self._columns)
        ]
        table = pa.table(dict(zip([name for name, _ in self._columns], arrays, strict=True)))
        buffer = io.BytesIO()
        compression = _COMPRESSIONS[(self._parquet or {}).get("Compression", "SNAPPY")]
        pq.write_table(table, buffer, compression=compression)
        return buffer.getvalue()

    def _row(self, document: dict[str, Any]) -> list[Any]:
        insensitive = str(self._openx.get("CaseInsensitive", True)).lower() == "true"
        dots = str(self._openx.get("ConvertDotsInJsonKeysToUnderscores", False)).lower() == "true"
        mapped = self._openx.get("ColumnToJsonKeyMappings") or {}

        def plain(key: str) -> str:
            key = key.replace(".", "_") if dots else key
            return key.lower() if insensitive else key

        fields = {plain(key): value for key, value in document.items()}
        return [_value(fields.get(plain(mapped.get(name, name))), name, kind) for name, kind in self._columns]


def _columns(configuration: dict[str, Any]) -> list[tuple[str, str]]:
    schema = configuration["DataFormatConversionConfiguration"].get("SchemaConfiguration") or {}
    here = glue.current_scope()
    database, table = str(schema.get("DatabaseName", "")), str(schema.get("TableName", ""))
    arn = f"arn:aws:glue:{here.region}:{here.account}:table/{database}/{table}"
    role = schema.get("RoleARN") or configuration["RoleARN"]
    if not role_checks.role_may(role, "glue:GetTableVersions", arn, "firehose"):
        text = "Access was denied. Ensure that the access policy lets the role read the table."
        raise glue.TrustError(f"{text} ({role} may not glue:GetTableVersions on {arn})")
    return [
        (column["Name"], str(column.get("Type", "string")).lower())
        for column in firehose.table_columns(here, database, table)
    ]


def _value(value: Any, name: str, kind: str) -> Any:
    if value is None:
        return None
    try:
        return _converter(kind)(value)
    except (ValueError, TypeError, InvalidOperation, OverflowError) as fault:
        text = f"Data does not match the schema. {name} ({kind}): {fault}"
        raise Undeliverable(_KIND, text, "DataFormatConversion.MalformedData") from fault


def _converter(kind: str) -> Callable[[Any], Any]:
    simple = _CONVERTERS.get(kind.split("(", maxsplit=1)[0])
    if simple is not None:
        return simple
    if kind.startswith("array<"):
        inner = _converter(kind[6:-1])
        return lambda value: [None if each is None else inner(each) for each in _as(list, value)]
    if kind.startswith("map<"):
        key, _, rest = kind[4:-1].partition(",")
        inner = _converter(rest.strip())
        return lambda value: [(_converter(key)(k), inner(v)) for k, v in _as(dict, value).items()]
    raise ValueError(f"the twin does not convert to the type {kind}")


def _as(wanted: type, value: Any) -> Any:
    if not isinstance(value, wanted):
        raise TypeError(f"{value!r} is no {wanted.__name__}")
    return value


def _not_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise TypeError(f"{value!r} is no number")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value!r} is no whole number")
    return int(_not_flag(value))


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise TypeError(f"{value!r} is neither true nor false")


def _moment(value: Any) -> datetime:
    """Epoch seconds, or java.sql.Timestamp's form, which is all that the deserializers take by themselves."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC).replace(tzinfo=None)
    text = re.sub(r"(\.\d{6})\d+$", r"\1", str(value))
    for form in _TIME_FORMATS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    raise ValueError(f"{value!r} is no time like 2026-11-30 07:00:00.000")


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        ("string", "varchar", "char"), lambda value: value if isinstance(value, str) else json.dumps(value)
    ),
    **dict.fromkeys(("tinyint", "smallint", "int", "integer", "bigint"), _whole),
    **dict.fromkeys(("float", "double"), lambda value: float(_not_flag(value))),
    "decimal": lambda value: Decimal(str(_not_flag(value))),
    "boolean": _flag,
    "timestamp": _moment,
    "date": date.fromisoformat,
}


def _arrow(pa: Any, kind: str) -> Any:
    base = kind.split("(", maxsplit=1)[0]
    simple = {
        "string": pa.string(),
        "varchar": pa.string(),
        "char": pa.string(),
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "int": pa.int32(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("ms"),
        "date": pa.date32(),
    }
    if base == "decimal":
        precision, scale = (int(part) for part in kind[8:-1].split(",")) if "(" in kind else (10, 0)
        return pa.decimal128(precision, scale)
    if kind.startswith("array<"):
        return pa.list_(_arrow(pa, kind[6:-1]))
    if kind.startswith("map<"):
        key, _, rest = kind[4:-1].partition(",")
        return pa.map_(_arrow(pa, key), _arrow(pa, rest.strip()))
    return simple[base]
