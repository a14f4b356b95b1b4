# Installs the programs that test/interop*.test.ts read stores with into a folder, and says in the environment where they are:
#   source test/interop/install-readers.sh /some/folder && npm test
# chdb has to be had. Of Python's the reason is printed where they are not. MARQUE_TEST_SIZE=large adds Spark, which takes minutes.
# shellcheck shell=bash

# A Python of its own in folder $1, with the packages that the other arguments name. Prints the last error where there can be none.
python_with() {
  local folder="$1" log
  shift
  log="$(mktemp)"
  if ! command -v python3 >"$log"; then
    echo 'there is no python3'
  elif python3 -m venv "$folder" >"$log" 2>&1 || { with_apt python3-venv && python3 -m venv --clear "$folder" >"$log" 2>&1; }; then
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >"$log" 2>&1 && rm "$log" && return
    grep -v '^$' "$log" | tail -n 1
  else
    echo "python3 makes no virtual environment: $(tail -n 1 "$log")"
  fi
  rm -f "$log"
  return 1
}

with_apt() {
  command -v apt-get >/dev/null && { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } >/dev/null 2>&1
}

install_readers() {
  local folder="$1" here why
  here="$(dirname "${BASH_SOURCE[0]}")"
  npm install --prefix "$folder/chdb-package" --no-audit --no-fund --loglevel=error chdb@3.4.0 || return 1
  export MARQUE_CHDB="$folder/chdb-package"

  if why="$(python_with "$folder/python" -r "$here/requirements.txt")"; then
    export MARQUE_PYTHON="$folder/python/bin/python"
    # The oldest DuckDB that open.sql is for.
    "$MARQUE_PYTHON" -m pip install --quiet --disable-pip-version-check --target "$folder/python/duckdb-1.1" duckdb==1.1.3 ||
      echo 'LEFT OUT: DuckDB 1.1 for Python, which pip could not install'
  else
    export MARQUE_PYTHON=
    echo "LEFT OUT: delta-rs, DataFusion, pandas, Polars, pyarrow and DuckDB for Python: $why"
  fi

  [ "${MARQUE_TEST_SIZE:-small}" = large ] || return 0
  if ! command -v java >/dev/null; then
    echo 'LEFT OUT: Spark, which needs Java'
  elif why="$(python_with "$folder/spark" pyspark==4.0.0 delta-spark==4.0.0)"; then
    # Spark looks into Maven's own folder before it asks the network, where a mirror may be known to Maven only.
    ! command -v mvn >/dev/null || mvn -q -B dependency:get -Dartifact=io.delta:delta-spark_2.13:4.0.0 >/dev/null
    export MARQUE_SPARK="$folder/spark/bin/python"
  else
    echo "LEFT OUT: Spark: $why"
  fi
}

install_readers "$@"
