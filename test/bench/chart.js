const WIDTH = 860;
const LABELS = 140;
const FIGURES = 190;
const BAR = 11;
const GAP = 3;
const GROUP_GAP = 12;
const HEADING = 44;
const LEGEND = 34;
const MARGIN = 16;

/** Colours for light and for dark pages; a picture in a README knows which one it is on only by this query. */
const STYLE = `
    text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #24292f; }
    .heading { font-weight: 600; font-size: 14px; }
    .quiet { fill: #57606a; }
    .bar-0 { fill: #0969da; } .bar-1 { fill: #afb8c1; } .bar-2 { fill: #8250df; } .bar-3 { fill: #1a7f37; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .quiet { fill: #9198a1; }
      .bar-0 { fill: #4493f8; } .bar-1 { fill: #656c76; } .bar-2 { fill: #ab7df8; } .bar-3 { fill: #3fb950; }
    }`;

/**
 * Requests a second as bars, service beside floor, at one number of clients.
 *
 * @param {import('./measurement.js').Cell[]} cells
 * @param {Record<string, string>} titles of the modes
 * @returns {string} an SVG
 */
export function chartOf(cells, titles) {
  const clients = shownClients(cells);
  const shown = cells.filter((cell) => cell.clients === clients);
  const labels = shown[0].figures.map(({ label }) => label);
  const most = Math.max(...shown.flatMap(({ figures }) => figures.map(({ rate }) => rate)));
  const parts = [legend(labels, clients)];
  let top = LEGEND;
  for (const [mode, title] of Object.entries(titles)) {
    const group = shown.filter((cell) => cell.mode === mode);
    if (group.length === 0) continue;
    parts.push(text(MARGIN, top + 24, title, 'heading'));
    top += HEADING;
    for (const cell of group) {
      parts.push(barsOf(cell, top, most));
      top += cell.figures.length * (BAR + GAP) + GROUP_GAP;
    }
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top + MARGIN}" role="img"
  aria-label="Requests a second of the service and of the floor, ${clients} clients">
  <style>${STYLE}
  </style>
${parts.join('\n')}
</svg>
`;
}

/** The picture has room for one: the one beside the most, where a server is busy and not yet drowned. */
function shownClients(cells) {
  const all = [...new Set(cells.map((cell) => cell.clients))].sort((a, b) => a - b);
  return all[Math.max(0, all.length - 2)];
}

function legend(labels, clients) {
  let left = MARGIN;
  const parts = labels.map((label, index) => {
    const part = `${rectangle(left, 13, BAR, BAR, index)}\n${text(left + BAR + 6, 23, label)}`;
    left += BAR + 6 + label.length * 7 + 18;
    return part;
  });
  const note = `requests/s, ${clients} clients`;
  return [...parts, text(WIDTH - MARGIN, 23, note, 'quiet', 'end')].join('\n');
}

function barsOf({ scenario, figures }, top, most) {
  const room = WIDTH - LABELS - FIGURES - MARGIN;
  const middle = top + (figures.length * (BAR + GAP)) / 2 + 2;
  const bars = figures.map(({ rate }, index) => {
    const y = top + index * (BAR + GAP);
    const width = Math.max(1, Math.round((rate / most) * room));
    const share = index === 1 ? '' : ` · ${(rate / figures[1].rate).toFixed(2)} of the floor`;
    const figure = `${Math.round(rate).toLocaleString('en-US')}${share}`;
    return `${rectangle(LABELS, y, width, BAR, index)}\n${text(LABELS + width + 8, y + 10, figure, 'quiet')}`;
  });
  return [text(LABELS - 12, middle, scenario.title, '', 'end'), ...bars].join('\n');
}

function rectangle(x, y, width, height, index) {
  return `  <rect class="bar-${Math.min(index, 3)}" x="${x}" y="${y}" width="${width}" height="${height}" rx="2"/>`;
}

function text(x, y, content, style = '', anchor = 'start') {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const classes = style === '' ? '' : ` class="${style}"`;
  return `  <text${classes} x="${x}" y="${y}" text-anchor="${anchor}">${escaped}</text>`;
}
