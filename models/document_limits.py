"""What one GraphQL document may be and ask for."""

from pydantic import BaseModel, ConfigDict, Field


class DocumentLimits(BaseModel):
    """Each refusal has a code of its own: the name of the limit in upper case, and `_LIMIT_EXCEEDED`.

    The first two are those of the text, the next three those of what stands in it, two more those of its selections when fragments stand
    where they are spread, and the last three those of running it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    length: int = Field(default=30_000, ge=1_000, le=1_000_000)
    """Characters."""
    tokens: int = Field(default=5_000, ge=100, le=100_000)
    """Lexical tokens: names, values and punctuation."""
    aliases: int = Field(default=100, ge=0, le=10_000)
    """Fields with a name of the client's."""
    directives: int = Field(default=50, ge=0, le=10_000)
    """Uses of directives."""
    fragments: int = Field(default=100, ge=0, le=10_000)
    """Spreads of named fragments."""
    depth: int = Field(default=20, ge=1, le=100)
    """Fields inside of fields."""
    fields: int = Field(default=5_000, ge=10, le=100_000)
    """Fields; one that is there several times counts once more for each time it was there before, since all are compared."""
    cost: int = Field(default=20_000, ge=1, le=1_000_000)
    """Rows and sub-selects: the sizes of pages inside of pages, multiplied."""
    values: int = Field(default=200_000, ge=100, le=10_000_000)
    """Fields of all that is answered, a list of plain values taken for as many of them as are asked for, or 10."""
    seconds: float = Field(default=10.0, gt=0, le=300)
    """From the beginning of a query until its result, and of a mutation until its last field is begun."""
