-- Whether a text is fit to be an id: no control characters, no blanks around it. As idProblem in src/common/http/text.ts.
CREATE OR REPLACE FUNCTION is_id(p_text text, p_length integer) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT char_length(p_text) <= p_length AND p_text !~ '^$|[\x01-\x1f\x7f\u0080-\u009f]|^[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]|[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]$'
$$;
