-- Whether another unit under the same parent (NULL: at the top) has this name.
CREATE OR REPLACE FUNCTION unit_name_is_taken(p_account varchar, p_parent bigint, p_name varchar, p_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT EXISTS (SELECT FROM units WHERE account_id = p_account AND coalesce(parent_id, 0) = coalesce(p_parent, 0)
                      AND name = p_name AND id IS DISTINCT FROM p_id));
END
$$;
