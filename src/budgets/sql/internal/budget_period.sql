-- The period of a window that a moment is in. Days, weeks (from Monday) and months are those of the time zone; a month begins
-- on its anchor day, or on its last day where it is shorter. Minutes and hours are those of UTC, which no clock change
-- doubles. Each period ends where the next begins, also where midnight comes twice or not at all.
CREATE OR REPLACE FUNCTION budget_period(
  p_window varchar, p_zone varchar, p_anchor integer, p_at timestamptz, OUT starts_at timestamptz, OUT ends_at timestamptz
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_step interval := CASE WHEN p_window <> 'lifetime' THEN ('1 ' || p_window)::interval END;
  v_local timestamp;
BEGIN
  IF p_window = 'lifetime' THEN
    starts_at := '-infinity';
    ends_at := 'infinity';
    RETURN;
  END IF;
  IF p_window IN ('minute', 'hour') THEN p_zone := 'UTC'; END IF;
  v_local := date_trunc(p_window, p_at AT TIME ZONE p_zone);
  -- A month that has not reached its anchor day belongs to the one before; so does the first of two midnights.
  WHILE month_anchor(p_window, v_local, p_anchor) AT TIME ZONE p_zone > p_at LOOP
    v_local := v_local - v_step;
  END LOOP;
  starts_at := month_anchor(p_window, v_local, p_anchor) AT TIME ZONE p_zone;
  ends_at := month_anchor(p_window, v_local + v_step, p_anchor) AT TIME ZONE p_zone;
END
$$;
