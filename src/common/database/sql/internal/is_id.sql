-- Whether a text is fit to be an id: no control characters, no blanks around it. As idProblem in src/common/http/text.ts.
CREATE OR REPLACE FUNCTION is_id(p_text text, p_length integer) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT char_length(p_text) BETWEEN 1 AND p_length AND p_text !~ '[\x01-\x1f\x7f\u0080-\u009f]'
     AND p_text = btrim(p_text, U&' \00a0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200a\2028\2029\202f\205f\3000\feff')
$$;
