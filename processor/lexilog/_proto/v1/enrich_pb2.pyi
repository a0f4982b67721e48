from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNSPECIFIED: _ClassVar[Status]
    STATUS_MATCHED: _ClassVar[Status]
    STATUS_UNKNOWN: _ClassVar[Status]
    STATUS_FAILED: _ClassVar[Status]
STATUS_UNSPECIFIED: Status
STATUS_MATCHED: Status
STATUS_UNKNOWN: Status
STATUS_FAILED: Status

class Record(_message.Message):
    __slots__ = ("line", "fields", "time_unix_nano")
    LINE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    line: bytes
    fields: bytes
    time_unix_nano: int
    def __init__(self, line: _Optional[bytes] = ..., fields: _Optional[bytes] = ..., time_unix_nano: _Optional[int] = ...) -> None: ...

class EnrichRequest(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("status", "reason", "document", "catalog", "id", "candidates")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    status: Status
    reason: str
    document: bytes
    catalog: str
    id: str
    candidates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, status: _Optional[_Union[Status, str]] = ..., reason: _Optional[str] = ..., document: _Optional[bytes] = ..., catalog: _Optional[str] = ..., id: _Optional[str] = ..., candidates: _Optional[_Iterable[str]] = ...) -> None: ...

class EnrichResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Result]
    def __init__(self, results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("id", "catalog")
    ID_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    id: str
    catalog: str
    def __init__(self, id: _Optional[str] = ..., catalog: _Optional[str] = ...) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("query", "limit")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    query: str
    limit: int
    def __init__(self, query: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class Variable(_message.Message):
    __slots__ = ("name", "type", "fields")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("catalog", "catalog_version", "id", "title", "formats", "variables", "severity", "severity_code", "facility", "facility_code", "type", "impact", "explanation", "cause", "action", "event_category", "event_type", "event_outcome", "event_action", "source_document", "source_section", "notes", "parameters", "categories", "vendor_action", "provenance", "diagnostics", "role")
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    CATALOG_VERSION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_CODE_FIELD_NUMBER: _ClassVar[int]
    FACILITY_FIELD_NUMBER: _ClassVar[int]
    FACILITY_CODE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    IMPACT_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    EVENT_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    EVENT_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EVENT_ACTION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SECTION_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    VENDOR_ACTION_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    catalog: str
    catalog_version: str
    id: str
    title: str
    formats: _containers.RepeatedScalarFieldContainer[str]
    variables: _containers.RepeatedCompositeFieldContainer[Variable]
    severity: str
    severity_code: int
    facility: str
    facility_code: int
    type: str
    impact: str
    explanation: str
    cause: str
    action: str
    event_category: _containers.RepeatedScalarFieldContainer[str]
    event_type: _containers.RepeatedScalarFieldContainer[str]
    event_outcome: str
    event_action: str
    source_document: str
    source_section: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    parameters: _containers.RepeatedScalarFieldContainer[str]
    categories: _containers.RepeatedScalarFieldContainer[str]
    vendor_action: str
    provenance: str
    diagnostics: bool
    role: str
    def __init__(self, catalog: _Optional[str] = ..., catalog_version: _Optional[str] = ..., id: _Optional[str] = ..., title: _Optional[str] = ..., formats: _Optional[_Iterable[str]] = ..., variables: _Optional[_Iterable[_Union[Variable, _Mapping]]] = ..., severity: _Optional[str] = ..., severity_code: _Optional[int] = ..., facility: _Optional[str] = ..., facility_code: _Optional[int] = ..., type: _Optional[str] = ..., impact: _Optional[str] = ..., explanation: _Optional[str] = ..., cause: _Optional[str] = ..., action: _Optional[str] = ..., event_category: _Optional[_Iterable[str]] = ..., event_type: _Optional[_Iterable[str]] = ..., event_outcome: _Optional[str] = ..., event_action: _Optional[str] = ..., source_document: _Optional[str] = ..., source_section: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ..., parameters: _Optional[_Iterable[str]] = ..., categories: _Optional[_Iterable[str]] = ..., vendor_action: _Optional[str] = ..., provenance: _Optional[str] = ..., diagnostics: bool = ..., role: _Optional[str] = ...) -> None: ...
