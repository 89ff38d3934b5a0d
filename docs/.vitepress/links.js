import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { targetOf } from './pages.js';

/**
 * Links of Markdown files lead to files of the repository, so that they work there too. On the site a link to a page leads
 * to it, and of any other file, such as a test or a Compose file, the path is printed.
 *
 * @param {string} root of the repository
 * @throws Error for a file that does not exist
 */
export function linkPages(md, root) {
  md.core.ruler.after('inline', 'links between files', ({ tokens, env }) => {
    for (const { children } of tokens) {
      for (const [index, token] of (children ?? []).entries()) {
        const href = token.type === 'link_open' ? token.attrGet('href') : null;
        if (href === null || /^([a-z]+:|#|\/)/.test(href)) continue;
        const [path, fragment] = href.split('#');
        // A page that is generated has no folder of its own.
        const from = env.realPath ?? env.path;
        const target = resolve(dirname(from), decodeURI(path));
        const file = relative(root, target);
        const page = targetOf(file);
        if (page === undefined && !existsSync(target)) throw new Error(`${from}: no file ${href}`);
        if (page !== undefined) token.attrSet('href', `/${page}${fragment ? `#${fragment}` : ''}`);
        else nameFile(children, index, file);
      }
    }
  });
}

/** Puts the path behind the text of the link, unless it is the text. */
function nameFile(children, index, file) {
  const end = children.findIndex(({ type }, at) => at > index && type === 'link_close');
  const text = children
    .slice(index + 1, end)
    .map(({ content }) => content)
    .join('');
  for (const [token, content] of [
    [children[index], ''],
    [children[end], text === file ? '' : ` (<code>${file}</code>)`],
  ])
    Object.assign(token, { type: 'html_inline', tag: '', nesting: 0, attrs: null, content });
}

/**
 * Follows each link of the built pages, also those of menus, with its fragment, and looks for pictures without a text
 * alternative. Addresses of other sites are not asked.
 *
 * @throws Error that names each page and what is wrong on it
 */
export function checkLinks(directory, base) {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const pages = new Map(
    files
      .filter((file) => file.endsWith('.html'))
      .map((file) => {
        const html = readFileSync(join(directory, file), 'utf8');
        return [file, { html, ids: new Set([...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id)) }];
      }),
  );
  const problems = new Set();
  for (const [file, { html }] of pages) {
    for (const [, href] of html.matchAll(/<a\s[^>]*?href="([^"]*)"/g)) {
      if (/^[a-z]+:/.test(href)) continue;
      const { pathname, hash } = new URL(href.replaceAll('&amp;', '&'), `http://site${base}${file}`);
      const path = decodeURI(pathname).slice(base.length);
      const name = path === '' || path.endsWith('/') ? `${path}index.html` : path;
      const page = pages.get(name) ?? pages.get(`${name}.html`);
      if (page === undefined && !files.includes(name)) problems.add(`${file}: ${href} leads to no page`);
      else if (hash !== '' && !page?.ids.has(decodeURIComponent(hash.slice(1))))
        problems.add(`${file}: ${href} names no part of its page`);
    }
    for (const [tag] of html.matchAll(/<img\s[^>]*>/g))
      if (!/\salt="[^"]{10,}"/.test(tag))
        problems.add(`${file}: a picture without a text alternative: ${tag}`);
  }
  if (problems.size > 0)
    throw new Error(`The site has ${problems.size} faults:\n${[...problems].join('\n')}`);
  return pages.size;
}
