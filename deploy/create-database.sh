#!/bin/sh
# Creates the two roles and the database: the owner migrates, and the service works as a role that changes credits only
# through the SQL functions. Run as a superuser, with OWNER_PASSWORD and APP_PASSWORD set.
set -eu
psql -v ON_ERROR_STOP=1 -v owner="$OWNER_PASSWORD" -v app="$APP_PASSWORD" -U "${POSTGRES_USER:-postgres}" -d postgres <<'SQL'
CREATE ROLE accounting_owner LOGIN PASSWORD :'owner';
CREATE ROLE accounting_app LOGIN PASSWORD :'app';
CREATE DATABASE accounting OWNER accounting_owner;
REVOKE ALL ON DATABASE accounting FROM PUBLIC;
GRANT CONNECT ON DATABASE accounting TO accounting_app;
SQL
