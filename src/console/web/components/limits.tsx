import { capital, type LimitFacts, limitInWords, type Names } from '../api/limits';

/** Every limit that stood in the way of a call. */
export function Limits({ limits, names }: { limits: readonly LimitFacts[]; names?: Names }) {
  if (limits.length === 0) return null;
  return (
    <ul aria-label="Limits in the way">
      {limits.map((limit, index) => (
        <li key={index}>{capital(limitInWords(limit, names))}.</li>
      ))}
    </ul>
  );
}
