// An item as a person sees it. Everything that came from an actor goes in as text or as a blob, never as markup.
import { call, ApiError } from './api.js';
import { film } from './film.js';

const ROWS_SHOWN = 50;

const element = (tag, className, text) => {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
};

export const short = (v) => {
  if (v === null || v === undefined) return '–';
  if (Number.isInteger(v)) return String(v);
  const a = Math.abs(v);
  return a !== 0 && (a < 1e-3 || a >= 1e6) ? v.toExponential(3) : String(Number(v.toPrecision(5)));
};

// Fetches what is not in the lease itself. 'gone': the daemon has forgotten it, the item is to be leased again.
export async function fetchMedia(item) {
  for (const m of item.media) {
    if (m.text !== undefined || m.blob) continue;
    try {
      const answer = await call('labeler', 'GET', m.url);
      m.blob = URL.createObjectURL(await answer.blob());
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return 'gone';
      throw error;
    }
  }
  return 'here';
}

export function forget(item) {
  for (const m of item.media) if (m.blob) URL.revokeObjectURL(m.blob);
}

function textBlock(name, text) {
  const box = element('div', /^(prompt|question|instruction|condition)/i.test(name) ? 'text prompt' : 'text');
  if (name) box.append(element('h2', '', name));
  box.append(element('p', '', text));
  return box;
}

function picture(m, describe) {
  const img = element('img');
  img.alt = describe;
  img.src = m.blob;
  img.decoding = 'async';
  img.addEventListener('load', () => img.classList.toggle('small', img.naturalWidth < 200));
  return img;
}

function medium(m, describe) {
  if (m.text !== undefined) return textBlock(m.name, m.text);
  if (m.type.startsWith('image/')) return picture(m, describe);
  if (m.type.startsWith('video/')) return film(m, describe);
  if (m.type.startsWith('audio/')) {
    const audio = element('audio');
    audio.src = m.blob;
    audio.controls = true;
    audio.setAttribute('aria-label', describe);
    return audio;
  }
  return element('p', 'muted', `${m.name}: ${m.bytes} bytes of ${m.type}, which this page cannot show`);
}

function rows(tensor) {
  const width = tensor.shape.length > 1 ? tensor.shape.slice(1).reduce((a, b) => a * b, 1) : tensor.shape[0] || 1;
  const out = [];
  for (let i = 0; i < tensor.data.length; i += width) out.push(tensor.data.slice(i, i + width));
  return out;
}

function table(title, list) {
  const box = element('div', 'scroll');
  const t = element('table');
  t.append(element('caption', 'hidden-text', title));
  const body = element('tbody');
  list.slice(0, ROWS_SHOWN).forEach((row, i) => {
    const tr = element('tr');
    const head = element('th', 'muted', list.length > 1 ? `${title} ${i}` : title);
    head.scope = 'row';
    tr.append(head, ...row.map((v) => element('td', '', short(v))));
    body.append(tr);
  });
  t.append(body);
  box.append(t);
  if (list.length > ROWS_SHOWN) box.append(element('p', 'muted', `and ${list.length - ROWS_SHOWN} more rows`));
  return box;
}

// Three numbers of the action's range are red, green and blue.
function swatch(outcome, spec) {
  const low = spec?.action?.low ?? 0;
  const high = spec?.action?.high ?? 1;
  const rgb = outcome.data.slice(0, 3).map((v) => Math.round(255 * Math.min(1, Math.max(0, (v - low) / (high - low || 1)))));
  const box = element('div', 'swatch');
  box.style.backgroundColor = `rgb(${rgb.join(' ')})`;
  box.setAttribute('role', 'img');
  box.setAttribute('aria-label', `Colour: red ${rgb[0]}, green ${rgb[1]}, blue ${rgb[2]} of 255`);
  return [box, element('p', 'muted mono', `red ${rgb[0]}  green ${rgb[1]}  blue ${rgb[2]}`)];
}

// What stands beside a picture or a film, for who cannot see it.
function asNumbers(item) {
  const box = element('details', 'as-numbers');
  box.append(element('summary', '', 'As numbers'));
  box.addEventListener('toggle', () => {
    if (box.childElementCount > 1) return;
    for (const c of item.condition) box.append(table('condition', rows(c)));
    box.append(table('outcome', rows(item.outcome)));
  });
  return box;
}

// The nodes of an item, beginning with what is judged.
export function render(item, how, spec) {
  const describe = `Item ${item.item} of ${item.actor || 'an actor'}`;
  if (item.media.length) {
    const seen = item.media.map((m) => medium(m, describe));
    return item.media.some((m) => m.text === undefined) && item.outcome.data.length ? [...seen, asNumbers(item)] : seen;
  }
  const out = [];
  for (const c of item.condition) out.push(table('condition', rows({ ...c, shape: [1, c.data.length] })));
  if (how === 'color' && item.outcome.data.length >= 3) out.push(...swatch(item.outcome, spec));
  else out.push(table('outcome', rows(item.outcome)));
  return out;
}
