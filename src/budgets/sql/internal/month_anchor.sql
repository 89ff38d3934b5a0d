-- Where the period of a window begins that p_local is the calendar's beginning of: of a month, on the anchor day.
CREATE OR REPLACE FUNCTION month_anchor(p_window varchar, p_local timestamp, p_anchor integer) RETURNS timestamp
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN p_window = 'month' THEN
           least(p_local + make_interval(days => p_anchor - 1), p_local + interval '1 month' - interval '1 day')
         ELSE p_local END
$$;
