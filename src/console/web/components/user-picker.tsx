import { useQuery } from '@tanstack/preact-query';
import { useId, useState } from 'preact/hooks';
import { accounts } from '../api/accounts';

interface UserPickerProps {
  value: string;
  onChange: (userId: string) => void;
  /** Whether the field may be empty, which means all users. */
  allowsAll?: boolean;
}

/** A field for a user's id that suggests matching users. */
export function UserPicker({ value, onChange, allowsAll = false }: UserPickerProps) {
  const id = useId();
  const [text, setText] = useState(value);
  const { data } = useQuery({
    queryKey: ['accounts', text, 'first'],
    queryFn: ({ signal }) => accounts(text, undefined, signal, 8),
  });
  const choose = (userId: string) =>
    (allowsAll || userId.trim() !== '') && userId.trim() !== value && onChange(userId.trim());
  return (
    <div class="field inline">
      <label for={id}>User</label>
      <input
        id={id}
        list={`${id}-list`}
        value={text}
        placeholder={allowsAll ? 'all' : ''}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          setText(event.currentTarget.value);
          if (data?.items.some(({ userId }) => userId === event.currentTarget.value))
            choose(event.currentTarget.value);
        }}
        onChange={(event) => choose(event.currentTarget.value)}
      />
      <datalist id={`${id}-list`}>
        {data?.items.map((account) => (
          <option key={account.userId} value={account.userId}>
            {account.username} {account.email}
          </option>
        ))}
      </datalist>
    </div>
  );
}
