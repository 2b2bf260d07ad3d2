// Sessions and requests. A session is an id that goes along as a bearer; it dies with the daemon, and is then made anew.

export class ApiError extends Error {
  constructor(status, body) {
    super((body && body.message) || `The daemon answered ${status}.`);
    this.status = status;
    this.code = (body && body.code) || 'unknown';
    this.retryMs = (body && body.retry_after_ms) || 0;
  }
}
// Nobody answered: the daemon is away, or the network is.
export class Offline extends Error {}
// There is nothing to prove oneself with: the person is asked.
export class SignIn extends Error {
  constructor(role, reason) {
    super(reason || '');
    this.role = role;
  }
}

const listeners = new Set();
export const link = {
  online: null,
  onChange(fn) { listeners.add(fn); },
  set(online) {
    if (this.online === online) return;
    this.online = online;
    for (const fn of listeners) fn(online);
  },
};

export const about = { tokens: false, tls: false, version: '', known: false };
let run = null;
export const runOf = () => run;

const key = (what) => `pmpod.${what}`;
const secrets = {
  get(role) { return sessionStorage.getItem(key(`token.${about.tokens ? role : 'start'}`)) || ''; },
  set(role, value) { sessionStorage.setItem(key(`token.${about.tokens ? role : 'start'}`), value); },
  drop(role) { sessionStorage.removeItem(key(`token.${about.tokens ? role : 'start'}`)); },
};

// Why a role's token was let go: said when the next one is asked for.
const refused = new Map();

export const name = {
  get() { return localStorage.getItem(key('name')) || ''; },
  set(value) { localStorage.setItem(key('name'), value); },
};

// #token=... of the address that pmpod printed: taken, and removed from the address bar.
export function takeFragment() {
  const found = /^#token=([A-Za-z0-9_-]+)/.exec(location.hash);
  if (!found) return;
  sessionStorage.setItem(key('token.start'), found[1]);
  history.replaceState(null, '', location.pathname);
}

async function raw(method, path, { body, session, signal } = {}) {
  const headers = {};
  if (session) headers.Authorization = `Bearer ${session}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, signal, cache: 'no-store', credentials: 'omit', redirect: 'error',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    link.set(false);
    throw new Offline('The daemon does not answer.');
  }
  link.set(true);
  if (answer.ok) return answer;
  let said = null;
  try { said = await answer.json(); } catch { /* not ours */ }
  throw new ApiError(answer.status, said);
}

export async function learnAbout() {
  Object.assign(about, await (await raw('GET', '/api/about')).json(), { known: true });
}

const opening = new Map();
async function open(role) {
  const token = secrets.get(role);
  if (!token) throw new SignIn(role, refused.get(role));
  if (role === 'labeler' && !about.tokens && !name.get()) throw new SignIn(role);
  const body = { role, token };
  if (!about.tokens) body.name = role === 'labeler' ? name.get() : (name.get() || 'page');
  let said;
  try {
    said = await (await raw('POST', '/api/session', { body })).json();
  } catch (error) {
    if (error instanceof ApiError && [400, 401, 403].includes(error.status)) {
      await learnAbout(); // tokens may have come or gone meanwhile
      secrets.drop(role);
      refused.set(role, error.message);
      throw new SignIn(role, error.message);
    }
    throw error;
  }
  run = said.run;
  run.spec = said.spec;
  sessionStorage.setItem(key(`session.${role}`), JSON.stringify(said));
  return said;
}

// The session of a role: kept over a reload of the page, made when there is none.
export async function session(role) {
  if (!about.known) await learnAbout();
  const kept = sessionStorage.getItem(key(`session.${role}`));
  if (kept) {
    const said = JSON.parse(kept);
    run = run || Object.assign(said.run, { spec: said.spec });
    return said;
  }
  if (!opening.has(role)) opening.set(role, open(role).finally(() => opening.delete(role)));
  return opening.get(role);
}

export function signIn(role, token, who) {
  if (who) name.set(who);
  if (token) secrets.set(role, token);
  refused.delete(role);
  sessionStorage.removeItem(key(`session.${role}`));
  return session(role);
}

export async function signOut() {
  for (const role of ['labeler', 'observer', 'operator']) {
    const kept = sessionStorage.getItem(key(`session.${role}`));
    if (kept) {
      try { await raw('DELETE', '/api/session', { session: JSON.parse(kept).session }); } catch { /* it ends by itself */ }
    }
    sessionStorage.removeItem(key(`session.${role}`));
    secrets.drop(role);
  }
}

export const hasSecret = (role) => secrets.get(role) !== '';

// A request in a role's session. One that has died with the daemon is made again once.
export async function call(role, method, path, options = {}) {
  for (let again = 0; ; again++) {
    const said = await session(role);
    try {
      return await raw(method, path, { ...options, session: said.session });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401 || again) throw error;
      sessionStorage.removeItem(key(`session.${role}`));
    }
  }
}

export const get = async (role, path, options) => (await call(role, 'GET', path, options)).json();
export const post = async (role, path, body) => (await call(role, 'POST', path, { body })).json();

// Server-sent events by fetch, so that the session goes along as a header. Ends with the stream.
export async function listen(path, signal, onEvent) {
  const answer = await call('observer', 'GET', path, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (signal.aborted) return;
      link.set(false);
      throw new Offline('The stream broke.');
    }
    if (part.done) return;
    rest += part.value;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const data = rest.slice(0, end).split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6));
      rest = rest.slice(end + 2);
      if (data.length) onEvent(JSON.parse(data.join('\n')));
    }
  }
}

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
