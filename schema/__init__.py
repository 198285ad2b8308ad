"""The API as data: types, inputs and operations, one module per chapter of the specification."""

from schema import enums as enums
