-- The smallest amount above p_used at which an event is due: that of an alert, or the whole limit.
CREATE OR REPLACE FUNCTION budget_next_alert(p_limit bigint, p_alerts smallint[], p_used bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT min(due) FROM (SELECT ceil(p_limit * percent / 100.0)::bigint AS due FROM unnest(p_alerts || 100::smallint) percent) alerts
   WHERE due > p_used
$$;
