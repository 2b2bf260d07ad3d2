// The label view: one item at a time, the next ones already here.
import { post, runOf, Offline, ApiError, SignIn, wait } from './api.js';
import { Queue } from './queue.js';
import { render, fetchMedia, forget } from './items.js';

const AHEAD = 6; // items that are here before they are shown
const POLL_MS = 1500;
const FOLLOW_MS = 2500; // how often the learner is asked after while nobody judges
const TRAIL = 60; // verdicts that are drawn
const UNDO_MAX = 20;
const DONE_MAX = 1000;
const SURE = ['', 'a guess', 'unsure', 'fairly sure', 'sure', 'certain'];
const WORD = { accept: 'Accepted', reject: 'Rejected', skip: 'Skipped' };

export class LabelView {
  constructor(root, ui, said) {
    this.who = said.name;
    this.root = root;
    this.ui = ui; // say, toast, askSignIn
    this.items = [];   // shown one first
    this.past = [];    // {item, key, judgement}
    this.done = new Set(); // items judged lately
    this.confidence = 5;
    this.waiting = null;
    this.judged = 0;
    this.mine = 0;     // verdicts since the daemon last counted them
    this.quota = 0;
    this.how = 'numbers';
    this.learner = null;
    this.version = null; // of the reference, as last heard
    this.alive = true;
    this.renewAt = 0;
  }

  open() {
    this.root.replaceChildren(document.getElementById('tpl-label').content.cloneNode(true));
    this.stage = this.root.querySelector('#stage');
    this.card = this.root.querySelector('.stage-card');
    this.meta = this.root.querySelector('#meta');
    this.counts = this.root.querySelector('#counts');
    this.follow = this.root.querySelector('#follow');
    this.trail = this.root.querySelector('#trail');
    this.wings = this.root.querySelector('#wings');
    this.undoButton = this.root.querySelector('#undo');
    this.buttons = [...this.root.querySelectorAll('[data-say]')];
    for (const b of this.buttons) b.addEventListener('click', () => this.judge(b.dataset.say));
    this.undoButton.addEventListener('click', () => this.undo());
    this.buildConfidence();
    this.onKey = (event) => this.key(event);
    document.addEventListener('keydown', this.onKey);
    this.queue = new Queue(runOf().id, this.who, () => this.showCounts(), (v, result, learner) => this.answered(v, result, learner));
    this.queue.flush();
    this.show();
    this.loop();
  }

  close() {
    this.alive = false;
    document.removeEventListener('keydown', this.onKey);
    this.queue?.stop();
    for (const item of [...this.items, ...this.past.map((p) => p.item)]) this.drop(item);
  }

  // An item that is shown no more: its films' decoders go, what was fetched stays for an undo.
  strike(item) {
    for (const n of item.nodes || []) n.unload?.();
    item.nodes = null;
  }

  drop(item) {
    this.strike(item);
    forget(item);
  }

  buildConfidence() {
    const group = this.root.querySelector('.confidence');
    for (let i = 1; i <= 5; i++) {
      const label = document.createElement('label');
      const input = document.createElement('input');
      const shown = document.createElement('span');
      input.type = 'radio';
      input.name = 'confidence';
      input.value = i;
      input.checked = i === this.confidence;
      input.setAttribute('aria-label', `${i}, ${SURE[i]}`);
      input.addEventListener('change', () => this.setConfidence(i));
      shown.textContent = i;
      shown.title = SURE[i];
      label.append(input, shown);
      group.append(label);
    }
  }

  setConfidence(value) {
    this.confidence = value;
    this.root.querySelector(`.confidence input[value="${value}"]`).checked = true;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const inText = event.target instanceof HTMLInputElement && event.target.type !== 'radio';
    if (inText || event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLSelectElement) return;
    const k = event.key.toLowerCase();
    const said = { a: 'accept', r: 'reject', s: 'skip' }[k];
    if (said) this.judge(said);
    else if (k === 'u') this.undo();
    else if (k === 'f') this.film()?.faster();
    else if (k === ' ' && !event.target.closest('button, a, summary, input')) this.film()?.toggle();
    else if (k >= '1' && k <= '5' && k.length === 1) {
      this.setConfidence(Number(k));
      this.ui.say(`${k}, ${SURE[Number(k)]}`);
    } else return;
    event.preventDefault();
  }

  film() { return this.shown?.nodes?.find((n) => n.toggle); }

  judge(judgement) {
    const item = this.items[0];
    if (!item) return;
    if (item.media.some((m) => m.text === undefined && !m.blob)) return; // not shown yet: nobody has seen it
    const key = this.queue.add(item.item, judgement, this.confidence / 5);
    this.items.shift();
    this.past.push({ item, key, judgement });
    this.strike(item);
    if (this.past.length > UNDO_MAX) this.drop(this.past.shift().item);
    this.done.add(item.item);
    if (this.done.size > DONE_MAX) this.done.delete(this.done.values().next().value);
    this.mine++;
    this.mark(judgement);
    this.flash(judgement);
    this.setConfidence(5);
    this.show();
    this.ui.say(`${WORD[judgement]} ${item.item}. ${this.items.length ? 'Next item.' : 'No item is here.'}`);
    this.hurry();
  }

  undo() {
    const last = this.past.pop();
    if (!last) return;
    if (!this.queue.takeBack(last.key)) this.queue.add(last.item.item, 'withdraw');
    this.mine = Math.max(0, this.mine - 1);
    [...this.trail.querySelectorAll('[data-said]')].pop()?.remove();
    if (this.shown) this.strike(this.shown);
    this.done.delete(last.item.item);
    this.items = this.items.filter((i) => i.item !== last.item.item);
    this.items.unshift(last.item);
    this.show();
    this.ui.say(`Taken back: ${last.judgement} of ${last.item.item}. It is shown again.`);
  }

  flash(judgement) {
    this.card.dataset.said = judgement;
    clearTimeout(this.flashing);
    this.flashing = setTimeout(() => delete this.card.dataset.said, 160);
  }

  // ---- what is shown

  show() {
    const item = this.items[0];
    const here = Boolean(item) && item.media.every((m) => m.text !== undefined || m.blob);
    for (const b of this.buttons) b.disabled = !here;
    this.undoButton.disabled = this.past.length === 0;
    if (here) {
      if (this.shown !== item) this.reveal(item);
      const parts = [`Item ${item.item}`];
      if (item.actor) parts.push(`by ${item.actor}`);
      if (item.ref_version) parts.push(`reference ${item.ref_version}`);
      if (item.labels) parts.push(`${item.labels} earlier ${item.labels === 1 ? 'verdict' : 'verdicts'}`);
      this.meta.textContent = parts.join(' · ');
      this.shown = item;
    } else {
      this.shown = null;
      this.stage.replaceChildren(this.empty(Boolean(item)));
      this.meta.textContent = '';
    }
    this.showAhead();
    this.showCounts();
    this.showLearner();
  }

  showAhead() { this.stage.dataset.ahead = String(this.items.filter((i) => i.media.every((m) => m.text !== undefined || m.blob)).length); }

  reveal(item) {
    item.nodes = item.nodes || render(item, this.how, runOf()?.spec);
    this.stage.replaceChildren(...item.nodes);
    for (const n of item.nodes) n.start?.();
    this.prepare();
  }

  // The next item is built and decoded before its turn.
  prepare() {
    const next = this.items[1];
    if (!next || next.nodes || !next.media.every((m) => m.text !== undefined || m.blob)) return;
    next.nodes = render(next, this.how, runOf()?.spec);
    this.wings.replaceChildren(...next.nodes);
  }

  empty(loading) {
    const box = document.createElement('div');
    box.className = 'empty';
    const dots = document.createElement('div');
    dots.className = 'dots';
    dots.append(...[0, 1, 2].map(() => document.createElement('i')));
    const head = document.createElement('h2');
    const text = document.createElement('p');
    text.className = 'muted';
    if (this.refused) {
      head.textContent = 'No items here';
      text.textContent = this.refused;
      box.append(head, text);
      return box;
    }
    if (this.quota && this.judged >= this.quota) {
      head.textContent = 'Thank you, that was all';
      text.textContent = `You gave the ${this.quota} verdicts that this run takes of one person.`;
      box.append(head, text);
      return box;
    }
    head.textContent = loading || this.waiting === null ? 'Fetching an item' : 'Nothing to judge just now';
    text.textContent = loading || this.waiting === null ? '' : 'New items appear here by themselves, as soon as an actor sends some.';
    box.append(dots, head, text);
    return box;
  }

  showCounts() {
    const unsent = this.queue ? this.queue.size() : 0;
    const part = (n, word, className) => {
      const b = document.createElement('b');
      b.textContent = String(n);
      if (className) b.className = className;
      return [b, ` ${word}`];
    };
    const nodes = [...part(this.judged + this.mine, 'judged by you')];
    if (this.quota) nodes.push(' of ', ...part(this.quota, ''));
    if (this.waiting !== null) nodes.push(' · ', ...part(this.waiting, 'waiting'));
    if (unsent) nodes.push(' · ', ...part(unsent, 'unsent', 'unsent'));
    this.counts.replaceChildren(...nodes);
    this.counts.dataset.unsent = String(unsent);
    this.counts.dataset.judged = String(this.judged + this.mine);
  }

  // ---- the policy follows: what the learner says, and the last verdicts with the references that came out of them

  mark(said) {
    const tick = document.createElement('li');
    tick.dataset.said = said;
    this.trail.append(tick);
    this.trim();
  }

  trim() { while (this.trail.childElementCount > TRAIL) this.trail.firstChild.remove(); }

  learnerText(l) {
    if (l.state === 'loading') return 'The learner is getting ready.';
    if (l.state === 'paused') return 'Learning is paused; verdicts are kept.';
    if (l.state === 'finished') return 'The run is complete.';
    if (l.state === 'failed') return 'The learner has failed; verdicts are kept.';
    if (l.verdicts_wanted > 0) return `The learner waits for ${l.verdicts_wanted} more ${l.verdicts_wanted === 1 ? 'verdict' : 'verdicts'}.`;
    if (l.steps === 0) return 'The learner waits for the actors.';
    return `The policy is learning from your verdicts: step ${l.steps.toLocaleString('en')}.`;
  }

  showLearner() {
    const l = this.learner;
    this.follow.hidden = !l;
    if (!l) return;
    const learns = ['running', 'waiting'].includes(l.state) && l.verdicts_wanted === 0 && l.steps > 0;
    this.follow.dataset.state = learns ? 'learning' : l.state;
    const text = this.root.querySelector('#learner');
    const said = this.learnerText(l);
    if (text.textContent !== said) {
      // Read out when it begins to learn or to wait, not at every step.
      text.setAttribute('aria-live', learns && this.learnt ? 'off' : 'polite');
      text.textContent = said;
      this.learnt = learns;
    }
    const bar = this.root.querySelector('#wanted');
    bar.hidden = !(l.verdicts_needed > 0 && l.verdicts_wanted > 0);
    const have = Math.max(0, l.verdicts_needed - l.verdicts_wanted);
    bar.setAttribute('aria-valuemax', String(l.verdicts_needed));
    bar.setAttribute('aria-valuenow', String(have));
    bar.firstElementChild.style.transform = `scaleX(${l.verdicts_needed ? have / l.verdicts_needed : 0})`;
    this.root.querySelector('#reference').textContent = l.version.toLocaleString('en');
    if (this.version !== null && l.version > this.version) this.refreshed();
    this.version = l.version;
  }

  refreshed() {
    const last = this.trail.lastElementChild;
    if (last?.dataset.said) {
      const tick = document.createElement('li');
      tick.dataset.reference = '';
      this.trail.append(tick);
      this.trim();
    }
    this.follow.classList.remove('beat');
    void this.follow.offsetWidth; // so that it starts anew
    this.follow.classList.add('beat');
  }

  answered(verdict, result, learner) {
    if (learner) {
      this.learner = learner;
      this.showLearner();
    }
    if (result.code === 'ok') return;
    // The daemon will not take it however often it is sent: the person is told.
    this.ui.toast(verdict ? `${verdict.judgement} of ${verdict.item} was not kept: ${result.message}` : result.message);
  }

  // ---- leasing

  hurry() {
    if (this.items.length <= AHEAD / 2 && this.wake) this.wake();
  }

  async loop() {
    let pause = 0;
    while (this.alive) {
      try {
        pause = (await this.lease()) ? 0 : POLL_MS;
      } catch (error) {
        if (error instanceof SignIn) {
          if (this.alive) this.ui.askSignIn(error);
          return;
        }
        if (error instanceof ApiError && [400, 403, 503].includes(error.status)) this.refused = error.message;
        else if (!(error instanceof Offline || error instanceof ApiError)) throw error;
        if (this.refused) this.show();
        pause = Math.max(1000, error.retryMs || 0);
      }
      if (pause) await Promise.race([wait(pause), new Promise((resolve) => { this.wake = resolve; })]);
      this.wake = null;
    }
  }

  // true: more are to be had at once.
  async lease() {
    const want = Math.max(0, AHEAD - this.items.length);
    if (want === 0 && Date.now() < this.renewAt) return false;
    const judged = this.queue.pending();
    const said = await post('labeler', '/api/lease', { count: want, held: this.items.map((i) => i.item) });
    if (!this.alive) return false;
    this.refused = '';
    const lost = new Set(said.lost);
    // A reply may have left the daemon before a verdict came in that is answered by now.
    for (const i of this.queue.pending()) judged.add(i);
    for (const i of this.done) judged.add(i);
    for (const i of this.items.filter((i) => lost.has(i.item))) this.drop(i);
    this.items = this.items.filter((i) => !lost.has(i.item));
    const have = new Set(this.items.map((i) => i.item));
    const fresh = said.items.filter((i) => !have.has(i.item) && !judged.has(i.item));
    this.items.push(...fresh);
    this.how = said.render || 'numbers';
    this.learner = said.learner;
    this.waiting = said.waiting;
    this.quota = said.quota;
    this.judged = said.judged;
    this.mine = this.queue.entries().reduce((n, [, v]) => n + (v.judgement === 'withdraw' ? -1 : 1), 0);
    const shortest = Math.min(60000, ...said.items.map((i) => i.lease_ms));
    this.renewAt = Date.now() + (document.hidden ? Math.max(2000, shortest / 2) : FOLLOW_MS);
    this.show();
    await this.fetchAll();
    return fresh.length > 0 && this.items.length < AHEAD;
  }

  async fetchAll() {
    for (const item of [...this.items]) {
      const state = await fetchMedia(item);
      if (!this.alive) return;
      if (state === 'gone') this.drop(item);
      if (state === 'gone') this.items = this.items.filter((i) => i !== item);
      if (!this.shown) this.show();
      else this.prepare();
      this.showAhead();
    }
  }
}

