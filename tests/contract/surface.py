"""The surface as text: a line per operation, and the links that wait for theirs."""

from schema.surface import PREFIX, Surface


def written(surface: Surface) -> str:
    lines = []
    for bound in surface.operations:
        operation = bound.operation
        verb = "GET sse" if operation.kind == "subscription" else operation.method
        takes = [operation.signature.input.__name__] if operation.signature.input else []
        takes += [parameter.name for parameter in operation.signature.parameters]
        lines.append(
            f"{verb:8}{PREFIX + operation.path:39} {operation.status} {operation.needs.name:10}{operation.kind:13}"
            f"{'-' if operation.carries_file else operation.graphql_name:32}{operation.id:32}{' '.join(takes)}".rstrip()
        )
    missing = [f"{bound.operation.id}: {' '.join(bound.links.missing)}" for bound in surface.operations if bound.links.missing]
    return "\n".join([*lines, "", "Links whose operation does not exist yet:", *missing, ""])
