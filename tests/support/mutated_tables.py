"""Change one column of an Arrow table at random: its type, its values, or leave it out."""

import pyarrow as pa
from mutations import mutated_json

ODD = (-1, 0, 1, 2, 3, 7, 100, 255, 2**31 - 1, -(2**31), float("nan"), float("inf"), -1e308, 1e308)


def mutated_table(table, source):
    """Return the table with one column changed."""
    name = source.choice(table.column_names)
    at, column = table.column_names.index(name), table[name]
    kind = source.randrange(5)
    if kind == 0:
        return table.drop_columns([name])
    if kind == 1:
        return table.set_column(at, name, pa.nulls(len(table), column.type))
    if kind == 2:
        odd = source.choice([pa.string(), pa.int64(), pa.list_(pa.string()), pa.list_(pa.int64())])
        return table.set_column(at, name, pa.nulls(len(table), odd))
    change = mutated_json if kind == 3 else _odd_values
    values = change(column.to_pylist(), source)
    try:
        return table.set_column(at, name, pa.array(values, column.type))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return table.set_column(at, name, [["x"] * len(table)])


def _odd_values(values, source):
    """Replace one number of a column by an odd one that its type can hold."""
    row = values[0]
    if isinstance(row, list) and row:
        if isinstance(row[0], dict):
            inner = source.choice([*row[0]])
            row[0][inner] = source.choice([*ODD, None, "x", ""])
        else:
            row[source.randrange(len(row))] = source.choice([*ODD, None, "x", "", True])
    else:
        values[0] = source.choice([*ODD, None, "", "x"])
    return values
