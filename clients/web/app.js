// The page: which view is shown, signing in and out, and what both views say to a person.
import { about, link, learnAbout, takeFragment, session, signIn, signOut, hasSecret, name, runOf, ApiError, Offline, SignIn, wait } from './api.js';
import { LabelView } from './label.js';
import { RunView } from './run.js';

const main = document.getElementById('main');
const VIEWS = { label: { View: LabelView, role: 'labeler' }, run: { View: RunView, role: 'observer' } };
let current = null;
let showing = 0;

const ui = {
  say(text) { document.getElementById('say').textContent = text; },
  toast(text) {
    const t = document.getElementById('toast');
    t.textContent = text;
    t.hidden = false;
    clearTimeout(ui.toasting);
    ui.toasting = setTimeout(() => { t.hidden = true; }, 6000);
  },
  askSignIn,
};

function showLink() {
  const e = document.getElementById('link');
  const text = { true: 'Connected', false: 'Not connected: trying again', null: '' }[String(link.online)];
  e.dataset.state = link.online === null ? 'idle' : link.online ? 'on' : 'off';
  const span = document.createElement('span');
  span.textContent = text;
  e.replaceChildren(span);
}

function viewName() {
  const found = /^#(label|run)$/.exec(location.hash);
  return found ? found[1] : (localStorage.getItem('pmpod.view') || 'label');
}

function notice(title, text) {
  const box = document.createElement('section');
  box.className = 'card sign-in';
  const h = document.createElement('h1');
  h.textContent = title;
  const p = document.createElement('p');
  p.className = 'muted lead';
  p.textContent = text;
  box.append(h, p);
  main.classList.remove('label-main');
  main.replaceChildren(box);
  return box;
}

function tokenWords(role) {
  if (!about.tokens) {
    return {
      label: 'Address or token that pmpod printed at its start',
      lead: 'This page is for whoever started pmpod. Open it by the whole address that was printed, or put it in here; it is also in the file http.url of the run’s folder.',
    };
  }
  const what = { labeler: 'a labeler’s token', observer: 'an observer’s token', operator: 'an operator’s token' }[role];
  return { label: `Your token (${what})`, lead: `Here one needs ${what}. Whoever runs pmpod makes one with “pmpoctl token create”.` };
}

function askSignIn(error) {
  current?.close();
  current = null;
  const role = error.role;
  const words = tokenWords(role);
  const needsToken = about.tokens || !hasSecret(role) || Boolean(error.message);
  const needsName = !about.tokens && role === 'labeler';
  const box = document.getElementById('tpl-sign-in').content.cloneNode(true);
  box.querySelector('h1').textContent = needsToken ? 'Sign in' : 'Who judges?';
  box.querySelector('.lead').textContent = needsToken ? words.lead : 'Verdicts are kept under this name; choose the same one when you come back.';
  box.querySelector('.token-label').textContent = words.label;
  box.querySelector('.token-field').hidden = !needsToken;
  box.querySelector('.name-field').hidden = !needsName;
  const form = box.querySelector('form');
  form.elements.name.value = name.get();
  const complain = (text) => {
    const e = form.querySelector('.error');
    e.textContent = text;
    e.hidden = !text;
  };
  complain(error.message);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const who = form.elements.name.value.trim();
    const token = form.elements.token.value.trim().replace(/^.*#token=/, '');
    if (needsName && !/^[A-Za-z0-9._@-]{1,58}$/.test(who)) {
      complain('A name has 1 to 58 letters, digits, or - _ . @');
      form.elements.name.focus();
      return;
    }
    form.querySelector('button').disabled = true;
    try {
      await signIn(role, token, needsName ? who : '');
      show();
    } catch (problem) {
      complain(problem.message || 'That did not work.');
      form.querySelector('button').disabled = false;
    }
  });
  main.classList.remove('label-main');
  main.replaceChildren(box);
  (needsToken ? form.elements.token : form.elements.name).focus();
}

async function show() {
  const turn = ++showing;
  const which = viewName();
  const { View, role } = VIEWS[which];
  localStorage.setItem('pmpod.view', which);
  for (const v of Object.keys(VIEWS)) {
    const tab = document.getElementById(`tab-${v}`);
    if (v === which) tab.setAttribute('aria-current', 'page');
    else tab.removeAttribute('aria-current');
  }
  current?.close();
  current = null;
  document.title = which === 'label' ? 'Label · pmpod' : 'Run · pmpod';
  let said;
  for (;;) {
    try {
      said = await session(role);
      break;
    } catch (error) {
      if (turn !== showing) return;
      if (error instanceof SignIn) {
        askSignIn(error);
        return;
      }
      const later = error instanceof Offline || (error instanceof ApiError && [429, 503].includes(error.status));
      notice(later ? 'pmpod does not answer' : 'That did not work', later ? 'Trying again until it does.' : error.message);
      if (!later) return;
      await wait(1000);
    }
  }
  if (turn !== showing) return;
  document.getElementById('run-name').textContent = runOf().name;
  document.getElementById('sign-out').hidden = false;
  if (which === 'label' && !runOf().people) {
    notice('Nothing to label here', `This run is judged by ${runOf().judge === 'critic' ? 'its critic' : 'its actors'}, not by people. The Run view shows what it does.`);
    return;
  }
  main.classList.toggle('label-main', which === 'label');
  current = new View(main, ui, said);
  current.open();
}

document.getElementById('sign-out').addEventListener('click', async () => {
  current?.close();
  current = null;
  await signOut();
  document.getElementById('sign-out').hidden = true;
  show();
});
link.onChange(showLink);
window.addEventListener('hashchange', () => {
  if (location.hash.startsWith('#token=')) takeFragment();
  show();
});
takeFragment();
showLink();
learnAbout().catch(() => {}).then(show);
