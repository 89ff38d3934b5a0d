#!/usr/bin/env bash
# The built service on a database of its own, against schemathesis: requests made of the document by another
# project's generator, as an admin, as a user, as a trusted service and without credentials. Needs Python 3.10 and its package index.
#
#   npm run test:schemathesis [-- options of `schemathesis run`]
#
# SCHEMATHESIS_SEED repeats a run, SCHEMATHESIS_EXAMPLES (default 60) is how many requests each operation gets in the
# fuzzing phase, beside those of the other phases.
set -euo pipefail
cd "$(dirname "$0")/../../.."
dist=${DIST:-dist}
work=$(mktemp -d)
service=''
finish() {
  [ -n "$service" ] && kill "$service" 2>/dev/null && wait "$service" 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT

python3 -m venv "$work/python"
"$work/python/bin/pip" install --quiet --disable-pip-version-check 'schemathesis==4.*'

PORT=$(node -e 'const s=require("net").createServer().listen(0,()=>{console.log(s.address().port);s.close()})')
JWT_ACCESS_SECRET=$(node -p 'crypto.randomBytes(32).toString("hex")')
INTERNAL_API_KEY=$(node -p 'crypto.randomBytes(32).toString("hex")')
export PORT JWT_ACCESS_SECRET INTERNAL_API_KEY EMBEDDED_POSTGRES_DIR="$work/data/postgres"
export RATE_LIMIT_MAX=100000000 LOG_LEVEL=error
node --enable-source-maps "$dist/src/main.js" >"$work/service.log" 2>&1 &
service=$!
url="http://127.0.0.1:$PORT"
for _ in $(seq 120); do
  curl -sf "$url/health/ready" >/dev/null && break
  kill -0 "$service" 2>/dev/null || { cat "$work/service.log"; exit 1; }
  sleep 0.5
done

token() { node "$dist/src/cli/token.js" --sub "$1" --role "$2"; }
admin=$(token root admin)
user=$(token alice user)
for subject in root alice; do
  curl -sf "$url/api/credits/balance" -H "Authorization: Bearer $(token $subject admin)" >/dev/null
  curl -sf "$url/api/credits/allocate" -H "Authorization: Bearer $admin" -H 'Content-Type: application/json' \
    -d "{\"userId\":\"$subject\",\"credits\":1000000000}" >/dev/null
done

# A schema cannot say that a lot exists, that a time lies in the future, or that tokens come whole or by class: what is
# valid by it may be refused. What is no route is answered 404, whatever its method. A revoked key is still shown, and a
# rule's number may be a model's name.
excluded=positive_data_acceptance,unsupported_method,use_after_free
cat >"$work/schemathesis.toml" <<'END'
checks.negative_data_rejection.expected-statuses = ["4xx"]

# They take what others send: what is not understood in it is named in the answer and fails nothing else.
[[operations]]
include-operation-id = ["importPricing", "takeLitellmLogs"]
checks.negative_data_rejection.enabled = false
END

failures=0
# run WHO [OPTIONS…]: in a directory of its own, as it leaves files behind.
run() {
  local who=$1
  shift
  echo "== as $who"
  (
    cd "$work"
    "$work/python/bin/schemathesis" --no-color --config-file "$work/schemathesis.toml" run "$url/api/docs-json" \
      --url "$url" --exclude-checks "$excluded" --max-examples "${SCHEMATHESIS_EXAMPLES:-60}" --continue-on-failure \
      --request-timeout 120 --suppress-health-check all --generation-database none \
      ${SCHEMATHESIS_SEED:+--seed "$SCHEMATHESIS_SEED"} "$@"
  ) || failures=$((failures + 1))
}
run 'an admin' -H "Authorization: Bearer $admin" "$@"
run 'a user' -H "Authorization: Bearer $user" "$@"
# Without a token it is still a caller, and is refused by 403 rather than 401.
run 'a trusted service' -H "X-Internal-API-Key: $INTERNAL_API_KEY" \
  --exclude-checks "$excluded,missing_required_header" "$@"
run 'no credentials' "$@"

audit=$(curl -sf "$url/api/credits/audit" -H "Authorization: Bearer $admin")
echo "audit: $audit"
grep -q '"ok":true' <<<"$audit" || failures=$((failures + 1))
if grep -q '"level":50' "$work/service.log"; then
  grep '"level":50' "$work/service.log" | head -20
  failures=$((failures + 1))
fi
echo "$failures failed"
[ "$failures" -eq 0 ]
