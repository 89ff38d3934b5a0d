-- The schema of release 1.0.0. Ids and credits are BIGINT, prices and USD exact NUMERIC, times TIMESTAMPTZ.
-- Conditions on one column are domains, and those on several columns of a table that movements write are checks of
-- `npm run audit`: PostgreSQL parses each CHECK of a table anew for every statement that writes to it (a fifth of the
-- database's time for a hold and its settlement), while a domain's is cached by the connection. Nor have the rows that
-- movements insert a foreign key to the balance: the movement holds its lock already, and looking it up again costs a
-- tenth of a hold.

-- The exclusion constraint on price periods compares text inside a GiST index.
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- No domain has the name of a function: sha256(…) would mean the type.
CREATE DOMAIN non_negative_bigint AS BIGINT CHECK (VALUE >= 0);
-- Up to 2^53 - 1, the largest integer that JSON clients read exactly.
CREATE DOMAIN credit_balance AS BIGINT CHECK (VALUE BETWEEN 0 AND 9007199254740991);
CREATE DOMAIN non_negative_numeric AS NUMERIC CHECK (VALUE >= 0);
CREATE DOMAIN sha256_hash AS BYTEA CHECK (octet_length(VALUE) = 32);
CREATE DOMAIN entry_kind AS VARCHAR(20) CHECK (VALUE IN (
  'allocation', 'hold', 'refund', 'charge', 'deduction', 'revocation', 'expiry', 'correction'));
CREATE DOMAIN balance_state AS VARCHAR(10) CHECK (VALUE IN ('low', 'exhausted'));
CREATE DOMAIN session_status AS VARCHAR(20) CHECK (VALUE IN ('active', 'completed', 'failed'));
CREATE DOMAIN session_end_reason AS VARCHAR(20) CHECK (VALUE IN ('finalized', 'aborted', 'timeout'));
CREATE DOMAIN usage_billing_status AS VARCHAR(20) CHECK (VALUE IN ('recorded', 'billed', 'needs_review', 'waived'));
CREATE DOMAIN pricing_source AS VARCHAR(10) CHECK (VALUE IN ('rule', 'default', 'fallback'));
CREATE DOMAIN service_tier AS VARCHAR(10) CHECK (VALUE IN ('standard', 'batch', 'flex', 'priority'));
CREATE DOMAIN usage_cost_source AS VARCHAR(10) CHECK (VALUE IN ('reported', 'computed'));
CREATE DOMAIN usage_source AS VARCHAR(10) CHECK (VALUE IN ('provider', 'drained', 'estimated'));
CREATE DOMAIN review_decision AS VARCHAR(10) CHECK (VALUE IN ('bill', 'waive'));
CREATE DOMAIN event_type AS VARCHAR(40) CHECK (VALUE IN (
  'credits.low', 'credits.exhausted', 'credits.recovered', 'credits.expiring', 'credits.expired', 'session.timed_out',
  'usage.needs_review', 'usage.settled', 'api_key.created', 'api_key.revoked', 'api_key.expiring', 'api_key.expired',
  'budget.threshold', 'budget.exhausted', 'budget.recovered', 'limit.reached',
  'organisation.created', 'organisation.renamed', 'organisation.archived',
  'organisation.member_added', 'organisation.member_changed', 'organisation.member_removed'));
CREATE DOMAIN member_role AS VARCHAR(10) CHECK (VALUE IN ('owner', 'admin', 'billing', 'member'));
CREATE DOMAIN budget_scope AS VARCHAR(12) CHECK (VALUE IN (
  'account', 'unit', 'member', 'each_member', 'key', 'model', 'tag'));
CREATE DOMAIN budget_unit AS VARCHAR(10) CHECK (VALUE IN ('credits', 'tokens', 'requests', 'sessions'));
CREATE DOMAIN budget_window AS VARCHAR(10) CHECK (VALUE IN ('minute', 'hour', 'day', 'week', 'month', 'lifetime'));
CREATE DOMAIN budget_mode AS VARCHAR(4) CHECK (VALUE IN ('hard', 'soft'));

-- What functions hand to each other as one. See lock_account, take_credits, rule_for, price_call, session_close and
-- count_usage.
CREATE TYPE account_lock AS (
  account_id VARCHAR, available BIGINT, held BIGINT, next_expiry TIMESTAMPTZ, low_threshold BIGINT, last_event VARCHAR,
  has_budgets BOOLEAN, last_entry BIGINT, locked_at TIMESTAMPTZ);
CREATE TYPE entry_cause AS (
  user_id VARCHAR, kind VARCHAR, session_id VARCHAR, usage_id BIGINT, actor VARCHAR, notes TEXT, unit_id BIGINT,
  api_key_id BIGINT);
CREATE TYPE model_rule AS (id BIGINT, source VARCHAR, model_id VARCHAR, components JSONB);
CREATE TYPE call_price AS (
  credits BIGINT, provider_cost_usd NUMERIC, tokens BIGINT, fallback_classes VARCHAR[], amounts JSONB);
CREATE TYPE session_end AS (
  reason VARCHAR, status VARCHAR, quantities JSONB, service_tier VARCHAR, reported_cost_usd NUMERIC, price call_price,
  doubtful_credits BIGINT, service VARCHAR, metadata JSONB, actor VARCHAR, usage_source VARCHAR);
-- What a call reserves or has used; and the periods that it counts in, with what still fits them (NULL: no limit), and those
-- of which a raise has ended.
CREATE TYPE call_amounts AS (credits BIGINT, tokens BIGINT, requests INTEGER, sessions INTEGER);
CREATE TYPE call_budgets AS (
  periods BIGINT[], credits BIGINT, tokens BIGINT, requests BIGINT, sessions BIGINT, ended_raises BIGINT[]);
-- What the budgets of a session count when it ends: what it held is free, and what it used is used.
CREATE TYPE session_count AS (
  periods BIGINT[], session BIGINT, held_credits BIGINT, held_tokens BIGINT, used_credits BIGINT, used_tokens BIGINT);
CREATE TYPE usage_sums AS (
  records BIGINT, credits NUMERIC, provider_cost_usd NUMERIC, costed_records BIGINT, costed_credits NUMERIC,
  unpriced_records BIGINT, charged_credits NUMERIC, uncollected_credits NUMERIC);

------------------------------------------------------------------------------------------------------------------------
-- Accounts

CREATE TABLE user_accounts (
  user_id    VARCHAR(50)  CONSTRAINT pk_user_accounts PRIMARY KEY,
  email      VARCHAR(255) CONSTRAINT uq_user_accounts_email UNIQUE,
  username   VARCHAR(100) NOT NULL,
  role       VARCHAR(50)  NOT NULL DEFAULT 'user'
             CONSTRAINT ck_user_accounts_role CHECK (role IN ('user', 'supervisor', 'admin')),
  created_at TIMESTAMPTZ  NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ  NOT NULL DEFAULT now()
);
-- Accounts are found by how their id, name or e-mail begins. By bytes: only so is a prefix a range of the index,
-- whatever the language of the database.
CREATE INDEX idx_user_accounts_search_id    ON user_accounts ((lower(user_id) COLLATE "C"), user_id);
CREATE INDEX idx_user_accounts_search_name  ON user_accounts ((lower(username) COLLATE "C"), user_id);
CREATE INDEX idx_user_accounts_search_email ON user_accounts ((lower(email) COLLATE "C"), user_id);
-- GET /search finds by any word: what stands between signs and spaces, as `wordsOf` in search.service.ts has it. No table that
-- movements write has such an index.
CREATE INDEX idx_user_accounts_words ON user_accounts USING gin ((array_to_tsvector(array_remove(
  regexp_split_to_array(lower(user_id || ' ' || username || ' ' || coalesce(email, '')), '[\u0001-/:-@\u005b-\u0060{-\u00a0\u2010-\u2027]+'), ''))));

------------------------------------------------------------------------------------------------------------------------
-- Credits

-- last_entry is the id of the account's newest ledger entry.
CREATE TABLE credit_balances (
  account_id    VARCHAR(50) CONSTRAINT pk_credit_balances PRIMARY KEY,
  available     credit_balance NOT NULL DEFAULT 0,
  held          credit_balance NOT NULL DEFAULT 0,
  next_expiry   TIMESTAMPTZ,
  low_threshold non_negative_bigint,
  last_event    balance_state,
  has_budgets   BOOLEAN NOT NULL DEFAULT FALSE,
  last_entry    BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- is_open changes only when a lot runs empty or is refilled. The partial indexes use it in place of
-- remaining_credits > 0, which would put every change into an index; so taking credits stays a heap-only update.
CREATE TABLE credit_allocations (
  id                BIGINT GENERATED ALWAYS AS IDENTITY,
  account_id        VARCHAR(50) NOT NULL CONSTRAINT fk_credit_allocations_account REFERENCES credit_balances,
  total_credits     non_negative_bigint NOT NULL,
  remaining_credits non_negative_bigint NOT NULL,
  allocated_by      VARCHAR(64) NOT NULL,
  allocated_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
  expires_at        TIMESTAMPTZ NOT NULL,
  notes             TEXT,
  revoked_at        TIMESTAMPTZ,
  is_open           BOOLEAN NOT NULL DEFAULT TRUE,
  expiry_announced  BOOLEAN NOT NULL DEFAULT FALSE,
  CONSTRAINT pk_credit_allocations PRIMARY KEY (account_id, id)
) WITH (fillfactor = 80);
CREATE INDEX idx_credit_user_expiry ON credit_allocations (account_id, expires_at);
CREATE INDEX idx_credit_open        ON credit_allocations (account_id, expires_at, id) WHERE is_open;
CREATE INDEX idx_credit_open_expiry ON credit_allocations (expires_at) WHERE is_open;
CREATE INDEX idx_credit_unannounced ON credit_allocations (expires_at) WHERE is_open AND NOT expiry_announced;
CREATE INDEX idx_credit_allocation_id ON credit_allocations (id);

-- Append-only, see refuse_ledger_change. An account's ids rise, see next_entry: they are the order of its entries. user_id is who spent, where a session or a charge is the cause. A correction may have any sign, or be 0 and about the cached balance.
CREATE TABLE credit_ledger (
  id            BIGINT GENERATED ALWAYS AS IDENTITY,
  account_id    VARCHAR(50) NOT NULL,
  user_id       VARCHAR(50),
  kind          entry_kind NOT NULL,
  credits       BIGINT NOT NULL,
  balance_after non_negative_bigint NOT NULL,
  allocation_id BIGINT,
  session_id    VARCHAR(100),
  usage_id      BIGINT,
  actor         VARCHAR(64) NOT NULL,
  notes         TEXT,
  unit_id       BIGINT,
  api_key_id    BIGINT,
  created_at    TIMESTAMPTZ NOT NULL,
  CONSTRAINT pk_credit_ledger PRIMARY KEY (account_id, id)
);
-- What a member reads of an organisation is a small part of it.
CREATE INDEX idx_ledger_member ON credit_ledger (account_id, user_id, id) WHERE user_id <> account_id;

-- One row: when the last audit of all accounts ended, and how many differences it found; NULL before there was one.
CREATE TABLE last_audit (
  is_only     BOOLEAN NOT NULL DEFAULT TRUE CONSTRAINT pk_last_audit PRIMARY KEY
              CONSTRAINT ck_last_audit_only CHECK (is_only),
  ended_at    TIMESTAMPTZ,
  differences BIGINT
);
INSERT INTO last_audit DEFAULT VALUES;

------------------------------------------------------------------------------------------------------------------------
-- Organisations

-- An account that several users spend from.
CREATE TABLE organisations (
  account_id  VARCHAR(50)  CONSTRAINT pk_organisations PRIMARY KEY
              CONSTRAINT fk_organisations_account REFERENCES credit_balances
              CONSTRAINT ck_organisations_id CHECK (account_id LIKE 'org:_%'),
  name        VARCHAR(100) NOT NULL,
  created_by  VARCHAR(64)  NOT NULL,
  created_at  TIMESTAMPTZ  NOT NULL DEFAULT now(),
  archived_at TIMESTAMPTZ
);
CREATE INDEX idx_organisations_created_by ON organisations (created_by) WHERE archived_at IS NULL;
CREATE INDEX idx_organisations_words ON organisations USING gin ((array_to_tsvector(array_remove(
  regexp_split_to_array(lower(account_id || ' ' || name), '[\u0001-/:-@\u005b-\u0060{-\u00a0\u2010-\u2027]+'), ''))));

-- path has the ids from the top unit down to the unit itself: what a member of the unit spends counts for all of them.
CREATE TABLE units (
  account_id VARCHAR(50)  NOT NULL CONSTRAINT fk_units_account REFERENCES organisations,
  id         BIGINT GENERATED ALWAYS AS IDENTITY,
  parent_id  BIGINT,
  name       VARCHAR(100) NOT NULL,
  path       BIGINT[]     NOT NULL CONSTRAINT ck_units_depth CHECK (cardinality(path) BETWEEN 1 AND 5),
  created_at TIMESTAMPTZ  NOT NULL DEFAULT now(),
  CONSTRAINT pk_units PRIMARY KEY (account_id, id),
  CONSTRAINT fk_units_parent FOREIGN KEY (account_id, parent_id) REFERENCES units (account_id, id)
);
CREATE UNIQUE INDEX uq_units_name ON units (account_id, coalesce(parent_id, 0), name);

CREATE TABLE members (
  account_id VARCHAR(50) NOT NULL CONSTRAINT fk_members_account REFERENCES organisations,
  user_id    VARCHAR(50) NOT NULL,
  role       member_role NOT NULL,
  unit_id    BIGINT,
  added_by   VARCHAR(64) NOT NULL,
  added_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
  CONSTRAINT pk_members PRIMARY KEY (account_id, user_id),
  CONSTRAINT fk_members_unit FOREIGN KEY (account_id, unit_id) REFERENCES units (account_id, id)
);
CREATE INDEX idx_members_user ON members (user_id);
CREATE INDEX idx_members_unit ON members (account_id, unit_id);

------------------------------------------------------------------------------------------------------------------------
-- Budgets

-- applies_to is the scope with what it is for, as a movement looks it up: account, each_member, unit:7, member:alice, key:12,
-- model:gpt-4o, model:* (all patterns such as gpt-4o*), tag:feature=search. amount is null where the budget only
-- counts. A key's own lifetime budget of credits is made with the key (is_key_limit).
CREATE TABLE budgets (
  account_id   VARCHAR(50)   NOT NULL CONSTRAINT fk_budgets_account REFERENCES credit_balances,
  id           BIGINT GENERATED ALWAYS AS IDENTITY,
  scope        budget_scope  NOT NULL,
  scope_id     VARCHAR(200),
  applies_to   VARCHAR(220)  NOT NULL GENERATED ALWAYS AS (
    scope || CASE WHEN scope = 'model' AND scope_id LIKE '%*' THEN ':*' ELSE coalesce(':' || scope_id, '') END) STORED,
  unit         budget_unit   NOT NULL,
  time_window  budget_window NOT NULL,
  time_zone    VARCHAR(64)   NOT NULL DEFAULT 'UTC',
  anchor_day   SMALLINT      NOT NULL DEFAULT 1 CONSTRAINT ck_budgets_anchor CHECK (anchor_day BETWEEN 1 AND 31),
  amount       non_negative_bigint,
  mode         budget_mode   NOT NULL DEFAULT 'hard',
  alerts       SMALLINT[]    NOT NULL DEFAULT '{}',
  set_by       VARCHAR(8)    NOT NULL CONSTRAINT ck_budgets_set_by CHECK (set_by IN ('platform', 'account')),
  is_key_limit BOOLEAN       NOT NULL DEFAULT FALSE,
  created_by   VARCHAR(64)   NOT NULL,
  created_at   TIMESTAMPTZ   NOT NULL DEFAULT clock_timestamp(),
  deleted_at   TIMESTAMPTZ,
  CONSTRAINT pk_budgets PRIMARY KEY (account_id, id),
  CONSTRAINT ck_budgets_whole CHECK (
    (scope_id IS NULL) = (scope IN ('account', 'each_member'))
    AND (unit <> 'sessions' OR time_window = 'lifetime')
    AND (is_key_limit OR amount IS NOT NULL)
    AND (NOT is_key_limit OR (scope = 'key' AND unit = 'credits' AND time_window = 'lifetime')))
);
CREATE INDEX idx_budgets_applies ON budgets (account_id, applies_to) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX uq_budgets_key_limit ON budgets (account_id, applies_to) WHERE is_key_limit;

-- One period of a budget, since its first movement; user_id is the member's for each_member, else ''. A period of a minute
-- or an hour goes when the next one begins and none of its open_sessions is left. held is reserved by them, used is settled.
-- Where used reaches next_alert an event is due; is_exhausted: budget.exhausted was emitted last. is_reached: limit.reached
-- was emitted. raised is the sum of its raises until raised_until, when the first of them ends: then the next call notes
-- what is left of them (budget_alerts).
CREATE TABLE budget_periods (
  -- The widest first, so that nothing is lost between them: each movement writes its rows anew.
  id            BIGINT GENERATED ALWAYS AS IDENTITY,
  budget_id     BIGINT      NOT NULL,
  starts_at     TIMESTAMPTZ NOT NULL,
  ends_at       TIMESTAMPTZ NOT NULL,
  used          BIGINT      NOT NULL DEFAULT 0,
  held          BIGINT      NOT NULL DEFAULT 0,
  raised        BIGINT      NOT NULL DEFAULT 0,
  next_alert    BIGINT,
  raised_until  TIMESTAMPTZ,
  open_sessions INTEGER     NOT NULL DEFAULT 0,
  is_exhausted  BOOLEAN     NOT NULL DEFAULT FALSE,
  is_reached    BOOLEAN     NOT NULL DEFAULT FALSE,
  account_id    VARCHAR(50) NOT NULL,
  unit          budget_unit NOT NULL,
  user_id       VARCHAR(50) NOT NULL DEFAULT '',
  -- Neither index begins with account_id: a plan made while the table is empty would read all periods of the account.
  CONSTRAINT pk_budget_periods PRIMARY KEY (id, account_id),
  CONSTRAINT uq_budget_periods UNIQUE (budget_id, user_id, starts_at, account_id)
) WITH (fillfactor = 50);

CREATE TABLE budget_raises (
  account_id VARCHAR(50) NOT NULL,
  id         BIGINT GENERATED ALWAYS AS IDENTITY,
  period_id  BIGINT NOT NULL,
  amount     BIGINT NOT NULL CONSTRAINT ck_budget_raises_amount CHECK (amount > 0),
  until      TIMESTAMPTZ,
  reason     VARCHAR(200) NOT NULL,
  made_by    VARCHAR(64) NOT NULL,
  made_at    TIMESTAMPTZ NOT NULL,
  CONSTRAINT pk_budget_raises PRIMARY KEY (account_id, id),
  CONSTRAINT fk_budget_raises_period FOREIGN KEY (account_id, period_id) REFERENCES budget_periods (account_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_budget_raises_period ON budget_raises (account_id, period_id);

-- The places that open sessions take in the budgets of sessions, each until its lease ends.
CREATE TABLE session_places (
  account_id VARCHAR(50) NOT NULL,
  period_id  BIGINT      NOT NULL,
  session    BIGINT      NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL,
  -- As in budget_periods: neither index begins with account_id.
  CONSTRAINT pk_session_places PRIMARY KEY (session, period_id, account_id)
) WITH (fillfactor = 70);
CREATE INDEX idx_session_places_lease ON session_places (period_id, expires_at, account_id);

CREATE TABLE idempotency_keys (
  account_id   VARCHAR(64) NOT NULL,
  caller_id    VARCHAR(64) NOT NULL,
  key          VARCHAR(255) NOT NULL,
  request_hash sha256_hash NOT NULL,
  response     JSONB NOT NULL,
  created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
  CONSTRAINT pk_idempotency_keys PRIMARY KEY (account_id, caller_id, key)
);
CREATE INDEX idx_idempotency_created ON idempotency_keys (created_at);

------------------------------------------------------------------------------------------------------------------------
-- Prices

-- What a model costs over a period. components has the prices by class and service tier ("input priority"), each list with
-- the highest threshold first: the price applies to calls whose prompt has more tokens than above. price is in credits for
-- one token (image, second …), cost what the provider charges for it in USD, null where that is unknown. Both are texts, as
-- catalogues give up to 23 decimals, a mark-up adds some, and readers of JSON numbers would lose them.
-- model_id may be a prefix: gpt-4o* is for each model whose id begins with gpt-4o. The built-in prices are rules as well:
-- source is default for those of known models, and fallback for *, that of all others. A rule that was withdrawn ends where
-- it begins: it stays, because a session may have started at that very moment.
CREATE TABLE pricing_rules (
  id             BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_pricing_rules PRIMARY KEY,
  model_id       VARCHAR(100) NOT NULL,
  source         pricing_source NOT NULL DEFAULT 'rule',
  effective_from TIMESTAMPTZ NOT NULL DEFAULT now(),
  effective_to   TIMESTAMPTZ,
  superseded_by  BIGINT,
  components     JSONB NOT NULL,
  created_by     VARCHAR(50),
  CONSTRAINT ck_pricing_rules_prices CHECK (components <> '{}' AND NOT jsonb_path_exists(components, '$.*[*] ? (
    @.price.type() != "string" || !(@.price like_regex "^[0-9]+([.][0-9]+)?$") || @.price.double() > 1000000
    || @.cost.type() == "number" || !(@.cost == null || @.cost like_regex "^[0-9]+([.][0-9]+)?$"))')),
  CONSTRAINT ck_pricing_rules_creator CHECK ((created_by IS NULL) = (source <> 'rule')),
  CONSTRAINT ck_pricing_rules_period CHECK (effective_to >= effective_from),
  CONSTRAINT ex_pricing_rules_period EXCLUDE USING gist
    (model_id WITH =, source WITH =, tstzrange(effective_from, effective_to) WITH &&)
);
CREATE INDEX idx_pricing_model_from ON pricing_rules (model_id, effective_from DESC);
CREATE INDEX idx_pricing_prefix     ON pricing_rules (model_id) WHERE model_id LIKE '%*';
CREATE INDEX idx_pricing_words      ON pricing_rules USING gin ((array_to_tsvector(array_remove(
  regexp_split_to_array(lower(model_id), '[\u0001-/:-@\u005b-\u0060{-\u00a0\u2010-\u2027]+'), ''))));

-- Other names of models, and the names of providers that stand in front of models' ids, as imports have seen them.
CREATE TABLE pricing_aliases (
  id         BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_pricing_aliases PRIMARY KEY,
  alias      VARCHAR(100) NOT NULL CONSTRAINT uq_pricing_aliases UNIQUE,
  model_id   VARCHAR(100) NOT NULL,
  created_by VARCHAR(50) NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE pricing_providers (
  name VARCHAR(100) CONSTRAINT pk_pricing_providers PRIMARY KEY
);

INSERT INTO pricing_rules (model_id, source, effective_from, components)
SELECT model_id, CASE model_id WHEN '*' THEN 'fallback' ELSE 'default' END, '1970-01-01Z',
       jsonb_build_object('tokens standard', jsonb_build_array(
         jsonb_build_object('class', 'tokens', 'above', 0, 'price', price, 'cost', NULL)))
  FROM (VALUES ('*', '0.001'), ('anthropic.claude-3-sonnet-20240229-v1:0', '0.003'),
               ('anthropic.claude-3-haiku-20240307-v1:0', '0.00025'), ('anthropic.claude-instant-v1', '0.0008'),
               ('amazon.titan-text-express-v1', '0.0003')) built_in (model_id, price);

------------------------------------------------------------------------------------------------------------------------
-- Streaming sessions

-- The price is pinned by reference: rules never change. priced_as is the rule's model where that is another. doubtful_credits
-- are the part of the cost that no class of the usage explains. held_lots and held_credits say lot by lot what the session
-- has taken and not given back: while it is active they add up to allocated_credits (the hold), afterwards to what it paid.
CREATE TABLE streaming_sessions (
  id                      BIGINT GENERATED ALWAYS AS IDENTITY,
  account_id              VARCHAR(50) NOT NULL,
  user_id                 VARCHAR(50) NOT NULL,
  session_id              VARCHAR(100) NOT NULL,
  model_id                VARCHAR(100) NOT NULL,
  pricing_rule_id         BIGINT NOT NULL,
  pricing_source          VARCHAR(10) NOT NULL,
  priced_as               VARCHAR(100),
  api_key_id              BIGINT,
  unit_id                 BIGINT,
  tags                    JSONB,
  periods                 BIGINT[],
  held_tokens             BIGINT NOT NULL DEFAULT 0,
  overrun                 JSONB,
  estimated_tokens        BIGINT,
  estimated_input_tokens  BIGINT,
  estimated_output_tokens BIGINT,
  max_output_tokens       BIGINT,
  max_affordable_tokens   BIGINT,
  estimated_credits       non_negative_bigint NOT NULL,
  first_hold              BIGINT NOT NULL,
  remaining_after_hold    BIGINT NOT NULL,
  allocated_credits       non_negative_bigint NOT NULL,
  held_lots               BIGINT[] NOT NULL,
  held_credits            BIGINT[] NOT NULL,
  tokens_generated        BIGINT NOT NULL DEFAULT 0,
  used_credits            non_negative_bigint NOT NULL DEFAULT 0,
  uncollected_credits     non_negative_bigint NOT NULL DEFAULT 0,
  doubtful_credits        non_negative_bigint NOT NULL DEFAULT 0,
  status                  session_status NOT NULL DEFAULT 'active',
  end_reason              session_end_reason,
  is_late                 BOOLEAN NOT NULL DEFAULT FALSE,
  final_quantities        JSONB,
  final_service_tier      service_tier,
  provider_cost_usd       NUMERIC,
  usage_id                BIGINT,
  started_at              TIMESTAMPTZ NOT NULL,
  expires_at              TIMESTAMPTZ NOT NULL,
  completed_at            TIMESTAMPTZ,
  CONSTRAINT pk_streaming_sessions PRIMARY KEY (account_id, user_id, session_id)
) WITH (fillfactor = 70);
CREATE INDEX idx_streaming_user_status ON streaming_sessions (account_id, status, started_at) WHERE status = 'active';
CREATE INDEX idx_streaming_stale       ON streaming_sessions (expires_at) WHERE status = 'active';

-- How many tokens completed sessions have generated, by model and size of the prompt, for holds without an estimate. Sizes are
-- logarithmic: see input_size and output_size. weight counts sessions, and halves each week.
CREATE TABLE output_lengths (
  model_id    VARCHAR(100) NOT NULL,
  input_size  SMALLINT NOT NULL,
  output_size SMALLINT NOT NULL,
  weight      DOUBLE PRECISION NOT NULL,
  CONSTRAINT pk_output_lengths PRIMARY KEY (model_id, input_size, output_size)
);
-- One row: output_lengths has the sessions completed before counted_until.
CREATE TABLE output_learning (
  is_only       BOOLEAN NOT NULL DEFAULT TRUE CONSTRAINT pk_output_learning PRIMARY KEY
                CONSTRAINT ck_output_learning_only CHECK (is_only),
  counted_until TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
);
INSERT INTO output_learning DEFAULT VALUES;

------------------------------------------------------------------------------------------------------------------------
-- Usage

CREATE TABLE usage_records (
  id                   BIGINT GENERATED ALWAYS AS IDENTITY,
  account_id           VARCHAR(50) NOT NULL,
  user_id              VARCHAR(50) NOT NULL,
  timestamp            TIMESTAMPTZ NOT NULL DEFAULT now(),
  service              VARCHAR(50) NOT NULL,
  operation            VARCHAR(100) NOT NULL,
  credits              non_negative_bigint NOT NULL,
  metadata             JSONB NOT NULL DEFAULT '{}',
  billing_status       usage_billing_status NOT NULL,
  uncollected_credits  non_negative_bigint NOT NULL DEFAULT 0,
  provider_cost_usd    non_negative_numeric,
  provider_cost_source usage_cost_source,
  computed_cost_usd    non_negative_numeric,
  session_id           VARCHAR(100),
  pricing_rule_id      BIGINT,
  pricing_source       VARCHAR(10),
  priced_as            VARCHAR(100),
  quantities           JSONB,
  service_tier         service_tier,
  fallback_classes     VARCHAR[],
  usage_source         usage_source,
  api_key_id           BIGINT,
  unit_id              BIGINT,
  tags                 JSONB,
  periods              BIGINT[],
  request_id           VARCHAR(200),
  request_hash         BYTEA,
  remaining_after_charge BIGINT,
  review_action        review_decision,
  review_credits       BIGINT,
  reviewed_by          VARCHAR(64),
  reviewed_at          TIMESTAMPTZ,
  version              INTEGER NOT NULL DEFAULT 1,
  counted_as_other     BOOLEAN NOT NULL DEFAULT FALSE,
  CONSTRAINT pk_usage_records PRIMARY KEY (account_id, id)
) WITH (fillfactor = 90);
CREATE INDEX idx_usage_user_timestamp ON usage_records (account_id, timestamp, id);
CREATE INDEX idx_usage_member         ON usage_records (account_id, user_id, timestamp, id) WHERE user_id <> account_id;
CREATE INDEX idx_usage_timestamp      ON usage_records (timestamp);
CREATE INDEX idx_usage_id             ON usage_records (id);
CREATE INDEX idx_usage_needs_review   ON usage_records (timestamp, id) WHERE billing_status = 'needs_review';
-- Calls whose reported cost differs from ours by more than 1 %.
CREATE INDEX idx_usage_cost_differs   ON usage_records (id) WHERE abs(provider_cost_usd - computed_cost_usd) > 0.01 * computed_cost_usd;
CREATE UNIQUE INDEX uq_usage_request  ON usage_records (account_id, request_id, user_id) WHERE request_id IS NOT NULL;

-- One decision for each version of a record, and append-only: a version that was decided on has a successor.
CREATE TABLE usage_reviews (
  account_id          VARCHAR(50) NOT NULL,
  usage_id            BIGINT NOT NULL,
  version             INTEGER NOT NULL,
  action              review_decision NOT NULL,
  uncollected_credits non_negative_bigint NOT NULL,
  billed_credits      non_negative_bigint NOT NULL,
  decided_by          VARCHAR(64) NOT NULL,
  decided_at          TIMESTAMPTZ NOT NULL,
  CONSTRAINT pk_usage_reviews PRIMARY KEY (account_id, usage_id, version),
  CONSTRAINT fk_usage_reviews_record FOREIGN KEY (account_id, usage_id) REFERENCES usage_records (account_id, id),
  CONSTRAINT ck_usage_reviews_whole CHECK (version > 0 AND (action = 'bill' OR billed_credits = 0))
);

-- One row per account, user, unit (0: none), UTC day, service and operation, kept in the transaction that writes the record. Of its credits,
-- charged_credits were collected, uncollected_credits were not, and the others were settled elsewhere. The costed columns
-- count records whose provider cost is known, costed_credits what was collected for them: a margin is made of these only.
CREATE TABLE usage_daily (
  account_id        VARCHAR(50) NOT NULL,
  user_id           VARCHAR(50) NOT NULL,
  unit_id           BIGINT NOT NULL DEFAULT 0,
  day               DATE NOT NULL,
  service           VARCHAR(50) NOT NULL,
  operation         VARCHAR(100) NOT NULL,
  records           BIGINT NOT NULL,
  credits           NUMERIC NOT NULL,
  provider_cost_usd NUMERIC NOT NULL DEFAULT 0,
  costed_records    BIGINT NOT NULL DEFAULT 0,
  unpriced_records  BIGINT NOT NULL DEFAULT 0,
  costed_credits    NUMERIC NOT NULL DEFAULT 0,
  charged_credits   NUMERIC NOT NULL DEFAULT 0,
  uncollected_credits NUMERIC NOT NULL DEFAULT 0,
  CONSTRAINT pk_usage_daily PRIMARY KEY (account_id, day, user_id, unit_id, service, operation)
) WITH (fillfactor = 70);
-- With all columns of the key, although nothing needs them: a plan made while the table is empty may take this index for a
-- movement, and would read everyone's rows of the day for each, or those of all members of an organisation.
CREATE INDEX idx_usage_daily_day ON usage_daily (day, account_id, user_id, unit_id, service, operation);

-- Everyone's usage by UTC day, service and operation, of days that are over.
CREATE TABLE usage_totals (
  day               DATE NOT NULL,
  service           VARCHAR(50) NOT NULL,
  operation         VARCHAR(100) NOT NULL,
  records           BIGINT NOT NULL,
  credits           NUMERIC(38, 0) NOT NULL,
  provider_cost_usd NUMERIC NOT NULL,
  costed_records    BIGINT NOT NULL,
  costed_credits    NUMERIC(38, 0) NOT NULL,
  unpriced_records  BIGINT NOT NULL,
  charged_credits   NUMERIC(38, 0) NOT NULL,
  uncollected_credits NUMERIC(38, 0) NOT NULL,
  CONSTRAINT pk_usage_totals PRIMARY KEY (day, service, operation)
);

-- What has changed in a day that is over, until it is added to the totals. Rows are only inserted and deleted:
-- movements that change one old day do not wait for each other.
CREATE TABLE usage_corrections (
  id                BIGINT GENERATED ALWAYS AS IDENTITY,
  account_id        VARCHAR(50) NOT NULL,
  day               DATE NOT NULL,
  service           VARCHAR(50) NOT NULL,
  operation         VARCHAR(100) NOT NULL,
  records           BIGINT NOT NULL,
  credits           NUMERIC(38, 0) NOT NULL,
  provider_cost_usd NUMERIC NOT NULL,
  costed_records    BIGINT NOT NULL,
  costed_credits    NUMERIC(38, 0) NOT NULL,
  unpriced_records  BIGINT NOT NULL,
  charged_credits   NUMERIC(38, 0) NOT NULL,
  uncollected_credits NUMERIC(38, 0) NOT NULL,
  CONSTRAINT pk_usage_corrections PRIMARY KEY (account_id, id)
);

-- One row: the totals have every day before closed_until.
CREATE TABLE usage_closing (
  is_only       BOOLEAN NOT NULL DEFAULT TRUE CONSTRAINT pk_usage_closing PRIMARY KEY
                CONSTRAINT ck_usage_closing_only CHECK (is_only),
  closed_until  DATE NOT NULL DEFAULT '-infinity'
);
INSERT INTO usage_closing DEFAULT VALUES;

-- Lists of the 1,000 accounts with the most credits in whole UTC days, for ranges with too many records to add up while
-- a request waits. asked_at is the first question since the list was made.
CREATE TABLE usage_leaders (
  first_day DATE NOT NULL,
  end_day   DATE NOT NULL,
  users     JSONB,
  made_at   TIMESTAMPTZ,
  asked_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
  CONSTRAINT pk_usage_leaders PRIMARY KEY (first_day, end_day),
  CONSTRAINT ck_usage_leaders_whole CHECK (first_day < end_day AND (users IS NULL) = (made_at IS NULL))
);

-- Usage events of gateways that cannot be charged yet: the user is unknown, or the event is not valid.
CREATE TABLE usage_quarantine (
  id            BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_usage_quarantine PRIMARY KEY,
  source        VARCHAR(20) NOT NULL,
  fingerprint   VARCHAR(64) NOT NULL CONSTRAINT uq_usage_quarantine_fingerprint UNIQUE
                CONSTRAINT ck_usage_quarantine_fingerprint CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
  claimed_user  VARCHAR(255),
  -- The organisation that is to pay and that the user must be a member of; NULL: the user pays.
  claimed_account VARCHAR(50),
  reason        VARCHAR(20) NOT NULL CONSTRAINT ck_usage_quarantine_reason
                CHECK (reason IN ('unknown_user', 'not_understood', 'refused')),
  detail        VARCHAR(200),
  event         JSONB NOT NULL,
  created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
  attempted_at  TIMESTAMPTZ,
  resolved_at   TIMESTAMPTZ,
  usage_account_id VARCHAR(50),
  usage_id      BIGINT,
  CONSTRAINT ck_usage_quarantine_usage CHECK (
    (usage_id IS NULL) = (usage_account_id IS NULL) AND (usage_id IS NULL OR resolved_at IS NOT NULL))
);
-- Of events that still wait only: small however long the history grows.
CREATE INDEX idx_usage_quarantine_open ON usage_quarantine (id) WHERE resolved_at IS NULL;
CREATE INDEX idx_usage_quarantine_turn ON usage_quarantine (attempted_at NULLS FIRST, id) WHERE resolved_at IS NULL;
CREATE INDEX idx_usage_quarantine_claimed ON usage_quarantine (claimed_user)
  WHERE resolved_at IS NULL AND reason = 'unknown_user';

-- version increases with every change of who pays for a gateway's calls. A charge locks the row and names the version that
-- its payer was found in: so it never goes to a payer of before while the same call, reported again, goes to the new one.
CREATE TABLE gateways (
  name    VARCHAR(20) CONSTRAINT pk_gateways PRIMARY KEY,
  version BIGINT NOT NULL DEFAULT 1
);
INSERT INTO gateways (name) VALUES ('litellm');

-- Which organisation pays for the calls of a gateway's team or organization. What is set anew or deleted stays with its end: a
-- call that is reported again is looked for where it may have been charged.
CREATE TABLE gateway_accounts (
  id          BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_gateway_accounts PRIMARY KEY,
  gateway     VARCHAR(20)  NOT NULL,
  kind        VARCHAR(20)  NOT NULL CONSTRAINT ck_gateway_accounts_kind CHECK (kind IN ('team', 'organization')),
  external_id VARCHAR(200) NOT NULL,
  account_id  VARCHAR(50)  NOT NULL,
  unit_id     BIGINT,
  set_by      VARCHAR(64)  NOT NULL,
  set_at      TIMESTAMPTZ  NOT NULL DEFAULT now(),
  ended_at    TIMESTAMPTZ,
  CONSTRAINT uq_gateway_accounts UNIQUE NULLS NOT DISTINCT (gateway, kind, external_id, ended_at)
);
CREATE INDEX idx_gateway_accounts_account ON gateway_accounts (account_id) WHERE ended_at IS NULL;
CREATE INDEX idx_gateway_accounts_unit    ON gateway_accounts (account_id, unit_id) WHERE unit_id IS NOT NULL;

------------------------------------------------------------------------------------------------------------------------
-- API keys

-- A key's successor is a new row, made once (is_rotated); budget_key_id names the first of its line, whose budgets count all
-- of them.
-- gateway_due_at is when the sweeper must look at a key; every key that is not settled has one. Until
-- gateway_unsure_until the gateway may still carry out a request to which there is no answer.
CREATE TABLE api_keys (
  id               BIGINT GENERATED ALWAYS AS IDENTITY,
  account_id       VARCHAR(50) NOT NULL CONSTRAINT fk_api_keys_account REFERENCES credit_balances,
  user_id          VARCHAR(50) NOT NULL,
  key              VARCHAR(64) NOT NULL CONSTRAINT ck_api_keys_key CHECK (key ~ '^[0-9a-f]{64}$'),
  key_hint         VARCHAR(20) NOT NULL,
  name             VARCHAR(100) NOT NULL,
  permissions      TEXT[] NOT NULL DEFAULT '{}' CONSTRAINT ck_api_keys_permissions CHECK (permissions <@
                   ARRAY['credits:read', 'usage:read', 'usage:write', 'sessions:write', 'pricing:read']),
  created_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
  expires_at       TIMESTAMPTZ,
  last_used        TIMESTAMPTZ,
  is_active        BOOLEAN NOT NULL DEFAULT TRUE,
  revoked_at       TIMESTAMPTZ,
  budget_key_id    BIGINT,
  is_rotated       BOOLEAN NOT NULL DEFAULT FALSE,
  expiry_announced TIMESTAMPTZ,
  end_announced    TIMESTAMPTZ,
  gateway          VARCHAR(20),
  gateway_state    VARCHAR(10) CONSTRAINT ck_api_keys_gateway_state
                   CHECK (gateway_state IN ('pending', 'opening', 'live', 'ending', 'failed', 'ended')),
  gateway_settings JSONB,
  gateway_due_at   TIMESTAMPTZ,
  gateway_attempts INTEGER NOT NULL DEFAULT 0,
  gateway_unsure_until TIMESTAMPTZ,
  CONSTRAINT pk_api_keys PRIMARY KEY (account_id, id),
  CONSTRAINT fk_api_keys_budget FOREIGN KEY (account_id, budget_key_id) REFERENCES api_keys (account_id, id),
  CONSTRAINT ck_api_keys_whole CHECK (
    is_active = (revoked_at IS NULL)
    AND (gateway IS NULL) = (gateway_state IS NULL)
    AND (gateway IS NULL) = (gateway_settings IS NULL)
    AND (is_active OR gateway_state NOT IN ('pending', 'opening', 'live'))
    AND (gateway_due_at IS NOT NULL OR gateway_state = 'ended' OR (gateway_state = 'live' AND expires_at IS NULL)))
);
CREATE INDEX idx_api_keys_id ON api_keys (id);
-- What a hint shows of the key, as one word: it may have signs in it.
CREATE INDEX idx_api_keys_hint ON api_keys (lower(right(key_hint, 4)));
CREATE INDEX idx_api_keys_words ON api_keys USING gin ((array_to_tsvector(array_remove(
  regexp_split_to_array(lower(name), '[\u0001-/:-@\u005b-\u0060{-\u00a0\u2010-\u2027]+'), ''))));
CREATE INDEX idx_api_keys_created ON api_keys (account_id, created_at, id);

-- Whose key a digest is: what must be found without an account has a small table of its own, of which each server of a
-- cluster has a copy. Its rows never change.
CREATE TABLE api_key_digests (
  key        VARCHAR(64) CONSTRAINT pk_api_key_digests PRIMARY KEY,
  account_id VARCHAR(50) NOT NULL,
  user_id    VARCHAR(50) NOT NULL,
  api_key_id BIGINT NOT NULL
);
CREATE INDEX idx_api_keys_gateway_due ON api_keys (gateway_due_at) WHERE gateway_due_at IS NOT NULL;
CREATE INDEX idx_api_keys_unannounced ON api_keys (expires_at)
  WHERE is_active AND expires_at IS NOT NULL AND expiry_announced IS DISTINCT FROM expires_at;
CREATE INDEX idx_api_keys_unended ON api_keys (expires_at)
  WHERE is_active AND expires_at IS NOT NULL AND (end_announced IS NULL OR end_announced < expires_at);

------------------------------------------------------------------------------------------------------------------------
-- Sessions of the console

-- A session is found by the digest of the secret in its cookie. The provider's tokens are sealed with a key made of that
-- secret, which is nowhere here: the database alone opens none of them. An instance that asks for new tokens has until
-- renewing_until.
CREATE TABLE console_sessions (
  digest         VARCHAR(64) CONSTRAINT pk_console_sessions PRIMARY KEY
                 CONSTRAINT ck_console_sessions_digest CHECK (digest ~ '^[0-9a-f]{64}$'),
  user_id        VARCHAR(50) NOT NULL,
  tokens         TEXT NOT NULL,
  renewing_until TIMESTAMPTZ,
  created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
  ends_at        TIMESTAMPTZ NOT NULL
);
CREATE INDEX idx_console_sessions_ends_at ON console_sessions (ends_at);

------------------------------------------------------------------------------------------------------------------------
-- Activity

-- What people and programs changed: append-only, see refuse_activity_change. account_id is '' where a change belongs to no
-- account. An id is not later than another because it is larger: each server of a cluster gives its own.
CREATE TABLE activity (
  account_id VARCHAR(50)  NOT NULL,
  id         BIGINT GENERATED ALWAYS AS IDENTITY,
  at         TIMESTAMPTZ  NOT NULL DEFAULT clock_timestamp(),
  action     VARCHAR(41)  NOT NULL,
  subject    VARCHAR(200) NOT NULL,
  actor      VARCHAR(64)  NOT NULL,
  actor_role VARCHAR(10)  NOT NULL,
  address    VARCHAR(45),
  request_id VARCHAR(200),
  before     JSONB,
  after      JSONB,
  CONSTRAINT pk_activity PRIMARY KEY (account_id, id)
);
CREATE INDEX idx_activity_account ON activity (account_id, at, id);
CREATE INDEX idx_activity_actor   ON activity (actor, at, id);
CREATE INDEX idx_activity_at      ON activity (at, id);

------------------------------------------------------------------------------------------------------------------------
-- Events and webhooks

-- Events are written here in the transaction of their movement, and move to events when they are published.
CREATE TABLE event_outbox (
  id          BIGINT GENERATED ALWAYS AS IDENTITY,
  account_id  VARCHAR(50) NOT NULL,
  type        event_type NOT NULL,
  occurred_at TIMESTAMPTZ NOT NULL,
  data        JSONB NOT NULL,
  CONSTRAINT pk_event_outbox PRIMARY KEY (account_id, id)
);
CREATE INDEX idx_event_outbox_id ON event_outbox (id);

CREATE TABLE events (
  id           BIGINT GENERATED ALWAYS AS IDENTITY,
  account_id   VARCHAR(50) NOT NULL,
  type         event_type NOT NULL,
  occurred_at  TIMESTAMPTZ NOT NULL,
  data         JSONB NOT NULL,
  published_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT pk_events PRIMARY KEY (account_id, id)
);
CREATE INDEX idx_events_id        ON events (id);
CREATE INDEX idx_events_published ON events (published_at);

-- The row alone says whether an endpoint is switched on, or deleted: its lanes may be a million. What is to be done with
-- them goes on in parts (webhook_go_on).
CREATE TABLE webhook_endpoints (
  id                    BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_webhook_endpoints PRIMARY KEY,
  url                   VARCHAR(2000) NOT NULL,
  event_types           TEXT[] CONSTRAINT ck_webhook_endpoints_types CHECK (event_types::event_type[] IS NOT NULL OR event_types IS NULL),
  description           VARCHAR(200),
  is_active             BOOLEAN NOT NULL DEFAULT TRUE,
  disabled_at           TIMESTAMPTZ,
  disabled_reason       VARCHAR(10) CONSTRAINT ck_webhook_endpoints_reason CHECK (disabled_reason IN ('failing', 'gone')),
  deleted_at            TIMESTAMPTZ,
  resuming_after        VARCHAR(50),
  failing_since         TIMESTAMPTZ,
  secret                TEXT NOT NULL,
  previous_secret       TEXT,
  previous_secret_until TIMESTAMPTZ,
  created_by            VARCHAR(50) NOT NULL,
  created_at            TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at            TIMESTAMPTZ NOT NULL DEFAULT now(),
  CONSTRAINT ck_webhook_endpoints_previous CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL))
);

-- One for each event and each endpoint that subscribes to it.
CREATE TABLE webhook_deliveries (
  id              BIGINT GENERATED ALWAYS AS IDENTITY,
  endpoint_id     BIGINT NOT NULL CONSTRAINT fk_webhook_deliveries_endpoint
                  REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
  account_id      VARCHAR(50) NOT NULL,
  event_id        BIGINT NOT NULL,
  status          VARCHAR(10) NOT NULL DEFAULT 'pending'
                  CONSTRAINT ck_webhook_deliveries_status CHECK (status IN ('pending', 'delivered', 'dead')),
  attempts        INTEGER NOT NULL DEFAULT 0,
  last_attempt_at TIMESTAMPTZ,
  last_status     INTEGER,
  last_error      VARCHAR(200),
  delivered_at    TIMESTAMPTZ,
  created_at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT pk_webhook_deliveries PRIMARY KEY (account_id, id),
  CONSTRAINT fk_webhook_deliveries_event FOREIGN KEY (account_id, event_id)
    REFERENCES events (account_id, id) ON DELETE CASCADE,
  CONSTRAINT uq_webhook_deliveries_event UNIQUE (account_id, event_id, endpoint_id)
);
CREATE INDEX idx_webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, id);
CREATE INDEX idx_webhook_deliveries_dead     ON webhook_deliveries (endpoint_id, id) WHERE status = 'dead';
CREATE INDEX idx_webhook_deliveries_turn     ON webhook_deliveries (endpoint_id, account_id, event_id) WHERE status = 'pending';
CREATE INDEX idx_webhook_deliveries_waiting  ON webhook_deliveries (created_at) WHERE status = 'pending';
CREATE INDEX idx_webhook_deliveries_tried    ON webhook_deliveries (endpoint_id, last_attempt_at) WHERE last_attempt_at IS NOT NULL;

-- One account's deliveries at one endpoint, one after the other: the unit that waits, is leased and is tried again. A row
-- exists as long as a delivery waits.
CREATE TABLE webhook_lanes (
  endpoint_id     BIGINT NOT NULL CONSTRAINT fk_webhook_lanes_endpoint
                  REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
  account_id      VARCHAR(50) NOT NULL,
  attempts        INTEGER NOT NULL DEFAULT 0,
  next_attempt_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
  lease           UUID,
  CONSTRAINT pk_webhook_lanes PRIMARY KEY (endpoint_id, account_id)
);
CREATE INDEX idx_webhook_lanes_due ON webhook_lanes (endpoint_id, next_attempt_at);

------------------------------------------------------------------------------------------------------------------------
-- Alerts

-- Which events people get, and how. A rule has sent all up to seen_event_id, or did not want them; what comes after it goes
-- together in the next message. lease is of the instance that sends, until due_at.
CREATE TABLE alert_rules (
  id            BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_alert_rules PRIMARY KEY,
  name          VARCHAR(100) NOT NULL,
  channel       VARCHAR(10)  NOT NULL CONSTRAINT ck_alert_rules_channel CHECK (channel IN ('email', 'slack')),
  recipients    TEXT[],
  url           TEXT,
  event_types   TEXT[] CONSTRAINT ck_alert_rules_types CHECK (event_types::event_type[] IS NOT NULL OR event_types IS NULL),
  account_id    VARCHAR(50),
  time_zone     VARCHAR(64)  NOT NULL DEFAULT 'UTC',
  quiet_from    VARCHAR(5),
  quiet_until   VARCHAR(5),
  group_seconds INTEGER      NOT NULL CONSTRAINT ck_alert_rules_group CHECK (group_seconds >= 0),
  is_active     BOOLEAN      NOT NULL DEFAULT TRUE,
  seen_event_id BIGINT       NOT NULL,
  due_at        TIMESTAMPTZ  NOT NULL DEFAULT now(),
  lease         UUID,
  attempts      INTEGER      NOT NULL DEFAULT 0,
  failing_since TIMESTAMPTZ,
  last_error    VARCHAR(200),
  last_sent_at  TIMESTAMPTZ,
  created_by    VARCHAR(64)  NOT NULL,
  created_at    TIMESTAMPTZ  NOT NULL DEFAULT now(),
  updated_at    TIMESTAMPTZ  NOT NULL DEFAULT now(),
  CONSTRAINT ck_alert_rules_whole CHECK (
    (recipients IS NULL) = (channel <> 'email') AND (url IS NULL) = (channel <> 'slack')
    AND (quiet_from IS NULL) = (quiet_until IS NULL))
);
