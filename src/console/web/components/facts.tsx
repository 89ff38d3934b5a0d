export type Fact = [name: string, value: string | number | null];

/** The facts about one thing; those that are null are left out. */
export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value !== null)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="anywhere">{value}</dd>
          </div>
        ))}
    </dl>
  );
}
