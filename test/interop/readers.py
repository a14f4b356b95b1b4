"""Reads a store, or a file exported from it, with whatever Python has for that.

Takes a request a line on standard input, {"reader", "path", "relation", "columns": {name: type}}, and answers with a line of JSON:
{"columns": {name: {"type", "cells"}}}, or {"error"}. What a cell is stands in cell.ts.
"""

import hashlib
import json
import math
import os
import struct
import sys
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def cell(kind, value):
    if value is None or (type(value).__name__ == 'NaTType'):
        return None
    if isinstance(kind, dict):
        rows = [[cell(field, element[name]) for name, field in kind.items()] for element in value]
        return json.dumps(rows, separators=(',', ':'))
    if isinstance(value, float) and math.isnan(value):
        return 'nan' if kind == 'double' else None  # pandas has no other null for most columns
    if kind == 'text':
        return hashlib.md5(value.encode()).hexdigest()
    if kind == 'bytes':
        return hashlib.md5(value).hexdigest()
    if kind in ('integer', 'bigint'):
        if int(value) != value:
            raise ValueError(f'{value!r} is no whole number')
        return str(int(value))
    if kind == 'timestamp':
        moment = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        milliseconds, rest = divmod((moment - EPOCH) // timedelta(microseconds=1), 1000)
        return str(milliseconds) if rest == 0 else f'{milliseconds}.{rest:03}'
    if kind == 'double':
        return struct.pack('>d', value).hex()
    raise ValueError(f'unknown type {kind}')


# Each reader gives for its columns the type, in its own words, and the values.


def of_arrow(table):
    return {name: (str(table.schema.field(name).type), table.column(name).to_pylist()) for name in table.column_names}


def of_polars(frame):
    return {name: (str(dtype), frame[name].to_list()) for name, dtype in frame.schema.items()}


def of_pandas(frame):
    return {name: (str(frame[name].dtype), frame[name].tolist()) for name in frame.columns}


def of_duckdb(relation):
    rows = relation.fetchall()
    return {name: (str(dtype), [row[i] for row in rows]) for i, (name, dtype) in enumerate(zip(relation.columns, relation.dtypes))}


def delta_rs(path, columns, **_):
    from deltalake import DeltaTable

    return of_arrow(DeltaTable(path).to_pyarrow_table(columns=columns))


def data_fusion(path, columns, **_):
    import pyarrow
    from deltalake import DeltaTable, QueryBuilder

    query = QueryBuilder().register('history', DeltaTable(path))
    return of_arrow(pyarrow.table(query.execute(f'SELECT {quoted(columns)} FROM history').read_all()))


def pandas_delta(path, columns, **_):
    from deltalake import DeltaTable

    return of_pandas(DeltaTable(path).to_pandas(columns=columns))


def polars_delta(path, columns, **_):
    import polars

    return of_polars(polars.scan_delta(path).select(columns).collect())


def spark_delta(path, columns, **_):
    frame = spark().read.format('delta').load(path).select(columns)
    rows = frame.collect()
    return {name: (dtype, [row[i] for row in rows]) for i, (name, dtype) in enumerate(frame.dtypes)}


def spark():
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    builder = (
        SparkSession.builder.master('local[1]')
        .config('spark.sql.extensions', 'io.delta.sql.DeltaSparkSessionExtension')
        .config('spark.sql.catalog.spark_catalog', 'org.apache.spark.sql.delta.catalog.DeltaCatalog')
        .config('spark.sql.session.timeZone', 'UTC')
        .config('spark.ui.enabled', 'false')
        .config('spark.sql.shuffle.partitions', '1')
        .config('spark.databricks.delta.snapshotPartitions', '1')
    )
    return configure_spark_with_delta_pip(builder).getOrCreate()


def duckdb_open(path, columns, relation):
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(open(f'{path}/open.sql', encoding='utf-8').read())
        return of_duckdb(connection.sql(f'SELECT {quoted(columns)} FROM {relation}'))


def duckdb_glob(path, columns, **_):
    import duckdb

    with duckdb.connect() as connection:
        return of_duckdb(connection.sql(f"SELECT {quoted(columns)} FROM '{path}'"))


def pandas_parquet(path, columns, **_):
    import pandas

    return of_pandas(pandas.read_parquet(path, columns=columns))


def pandas_arrow(path, columns, **_):
    import pandas

    frame = pandas.read_parquet(path, columns=columns, dtype_backend='pyarrow')
    return {name: (str(frame[name].dtype), frame[name].array.__arrow_array__().to_pylist()) for name in frame.columns}


def polars_parquet(path, columns, **_):
    import polars

    return of_polars(polars.scan_parquet(path).select(columns).collect())


def pyarrow_parquet(path, columns, **_):
    import pyarrow.parquet

    return of_arrow(pyarrow.parquet.read_table(path, columns=columns))


def quoted(columns):
    return ', '.join(f'"{name}"' for name in columns)


READERS = {
    'delta-rs': delta_rs,
    'DataFusion': data_fusion,
    'pandas': pandas_delta,
    'Polars': polars_delta,
    'Spark': spark_delta,
    'DuckDB open.sql': duckdb_open,
    'DuckDB': duckdb_glob,
    'pandas parquet': pandas_parquet,
    'pandas arrow': pandas_arrow,
    'Polars parquet': polars_parquet,
    'pyarrow': pyarrow_parquet,
}


def answer(request):
    columns = request['columns']
    found = READERS[request['reader']](request['path'], list(columns), relation=request['relation'])
    return {
        'columns': {
            name: {'type': found[name][0], 'cells': [cell(kind, value) for value in found[name][1]]}
            for name, kind in columns.items()
        }
    }


def main():
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            response = answer(json.loads(line))
        except BaseException as error:  # Polars panics with something that is no Exception
            response = {'error': f'{type(error).__name__}: {error}'}
        answers.write(json.dumps(response) + '\n')
        answers.flush()


main()
