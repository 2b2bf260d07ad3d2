// The run view: what the daemon is doing, now by server-sent events, and how it got there by the history.
import { get, post, listen, about, signIn, hasSecret, runOf, Offline, ApiError, SignIn, wait } from './api.js';
import { short } from './items.js';

const HISTORY_MS = 4000;
const EVENTS_SHOWN = 200;
const CURVES = 4;
// Shown first, of those that there are.
const FAVOURITES = ['learner.reward_accuracy', 'actor.eval_return', 'actor.return', 'eval.return', 'learner.loss', 'learner.kl', 'learner.accepted',
  'learner.rejected', 'learner.steps_per_s', 'learner.entropy', 'learner.wait_share'];

const percent = (v) => (v === undefined || v === null ? null : `${Math.round(100 * v)} %`);

// What a setting is counted in, by its name.
const UNITS = [[/_ms$/, 'ms'], [/_s$/, 's'], [/_bytes$/, 'bytes'], [/period$/, 'steps'], [/samples_per_/, 'rows']];
const unitOf = (key) => (UNITS.find(([name]) => name.test(key)) || [null, ''])[1];

const TILES = [
  ['learner steps', (n) => short(n['learner.steps'])],
  ['steps a second', (n) => short(Number((n['learner.steps_per_s'] ?? 0).toPrecision(3)))],
  ['reference version', (n) => short(n['weights.version'])],
  ['environment steps', (n) => (n['env.steps'] ? short(n['env.steps']) : null)],
  ['mean return', (n) => (n['return.mean'] === undefined ? null : short(n['return.mean']))],
  ['last evaluation', (n) => (n['eval.return'] === undefined ? null : short(n['eval.return']))],
  ['rows to train on', (n) => short(n['replay.trainable'])],
  ['items waiting', (n) => (n['desk.open'] === undefined ? null : short(n['desk.open']))],
  ['being judged', (n) => (n['desk.leased'] === undefined ? null : short(n['desk.leased']))],
  ['verdicts since its start', (n) => (n['desk.verdicts'] ? short(n['desk.verdicts']) : null)],
  ['people of late', (n) => (n['desk.labelers_active'] === undefined ? null : short(n['desk.labelers_active']))],
  ['verdicts foretold', (n) => percent(n['learner.reward_accuracy'])],
  ['accepted', (n) => percent(n['labels.accepted_share'])],
  ['actors', (n) => short(n['actors.active'])],
  ['rows stored', (n) => short(n['store.rows'])],
];

const make = (tag, text, className) => {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
};

function span(ms) {
  if (ms < 0) return 'never';
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  return s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

function fill(table, heads, rows, nothing) {
  const head = make('thead');
  const tr = make('tr');
  for (const h of heads) {
    const th = make('th', h);
    th.scope = 'col';
    tr.append(th);
  }
  head.append(tr);
  const body = make('tbody');
  for (const row of rows) {
    const line = make('tr');
    row.forEach((cell, i) => line.append(make(i ? 'td' : 'th', cell)));
    line.firstChild.scope = 'row';
    body.append(line);
  }
  if (!rows.length) {
    const td = make('td', nothing, 'nothing');
    td.colSpan = heads.length;
    const line = make('tr');
    line.append(td);
    body.append(line);
  }
  table.replaceChildren(head, body);
}

let chartLoading = null;
function loadChart() {
  if (!chartLoading) {
    chartLoading = new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = 'chart.js';
      script.onload = () => resolve(window.Chart);
      script.onerror = () => reject(new Error('The plots’ library did not load.'));
      document.head.append(script);
    });
  }
  return chartLoading;
}

export class RunView {
  constructor(root, ui) {
    this.root = root;
    this.ui = ui;
    this.abort = new AbortController();
    this.alive = true;
    this.charts = [];
    this.lastEvent = 0;
    this.names = [];
  }

  $(id) { return this.root.querySelector(`#${id}`); }

  open() {
    this.root.replaceChildren(document.getElementById('tpl-run').content.cloneNode(true));
    for (const b of this.root.querySelectorAll('[data-do]')) b.addEventListener('click', () => this.control(b, { action: b.dataset.do }));
    const axis = this.$('axis');
    axis.value = localStorage.getItem('pmpod.axis') || 'step';
    axis.addEventListener('change', () => {
      localStorage.setItem('pmpod.axis', axis.value);
      this.history();
    });
    this.people = runOf().people;
    this.$('people-card').hidden = !this.people;
    this.onScheme = () => this.recolour();
    this.scheme = matchMedia('(prefers-color-scheme: dark)');
    this.scheme.addEventListener('change', this.onScheme);
    this.again(() => this.live());
    this.again(() => this.slow());
    this.settings().catch(() => {});
  }

  close() {
    this.alive = false;
    this.abort.abort();
    this.scheme?.removeEventListener('change', this.onScheme);
    for (const c of this.charts) c.chart?.destroy();
  }

  // Runs it for ever; what the network or a restart of the daemon breaks off is begun again.
  async again(work) {
    while (this.alive) {
      try {
        await work();
      } catch (error) {
        if (!this.alive) return;
        if (error instanceof SignIn) {
          this.ui.askSignIn(error);
          return;
        }
        if (!(error instanceof Offline || error instanceof ApiError)) throw error;
        if (error instanceof Offline) this.showState({ state: 'offline', reason: 'pmpod does not answer; trying again' });
        await wait(Math.max(1000, error.retryMs || 0));
      }
    }
  }

  async live() {
    await listen('/api/live', this.abort.signal, (status) => this.showStatus(status));
    await wait(500);
  }

  async slow() {
    await this.events();
    await this.history();
    if (this.people) await this.labelers();
    await wait(HISTORY_MS);
  }

  // ---- now

  showState(texts) {
    const badge = this.$('state');
    badge.textContent = texts.state.replace('_', ' ');
    badge.dataset.state = texts.state;
    this.$('reason').textContent = texts.reason || '';
  }

  showStatus({ texts, numbers, actors }) {
    this.showState(texts);
    const warnings = this.$('warnings');
    warnings.hidden = !texts.warnings;
    if (warnings.textContent !== texts.warnings) warnings.textContent = texts.warnings || '';
    const progress = this.$('progress');
    progress.hidden = numbers['run.progress'] === undefined;
    if (!progress.hidden) {
      const percent = Math.round(1000 * numbers['run.progress']) / 10;
      progress.firstElementChild.style.width = `${percent}%`;
      progress.setAttribute('aria-valuenow', String(percent));
    }
    const tiles = [];
    for (const [label, value] of TILES) {
      const v = value(numbers);
      if (v === null) continue;
      const box = make('div');
      box.append(make('dt', label), make('dd', v));
      tiles.push(box);
    }
    this.$('tiles').replaceChildren(...tiles);
    fill(this.$('actors'), ['actor', 'rows', 'env steps', 'reference', 'return', 'best', 'heard of'],
      actors.map((a) => [a.name, short(a.rows), short(a.env_steps), short(a.ref_version), short(a.numbers.return_mean ?? a.reported.return),
        short(a.numbers.return_best), span(a.idle_ms)]), 'No actor is connected.');
    const paused = texts.state === 'paused';
    this.root.querySelector('[data-do="pause"]').disabled = paused;
    this.root.querySelector('[data-do="resume"]').disabled = !paused;
  }

  // ---- how it got there

  async history() {
    const names = (await get('observer', '/api/history')).series.map((s) => s.name);
    if (names.join() !== this.names.join()) {
      this.names = names;
      await this.layCurves();
    }
    const wanted = [...new Set(this.charts.map((c) => c.select.value).filter(Boolean))];
    if (!wanted.length) return;
    const query = wanted.map((n) => `name=${encodeURIComponent(n)}`).join('&');
    const said = await get('observer', `/api/history?points=400&${query}`);
    if (!this.alive) return;
    const byName = new Map(said.series.map((s) => [s.name, s]));
    for (const c of this.charts) this.plot(c, byName.get(c.select.value));
  }

  async layCurves() {
    let kept = [];
    try { kept = JSON.parse(localStorage.getItem('pmpod.curves') || '[]'); } catch { /* begin anew */ }
    const best = [...FAVOURITES.filter((n) => this.names.includes(n)), ...this.names.filter((n) => !FAVOURITES.includes(n))];
    const chosen = kept.filter((n) => this.names.includes(n));
    for (const n of best) if (chosen.length < CURVES && !chosen.includes(n)) chosen.push(n);
    const Chart = this.names.length ? await loadChart() : null;
    if (!this.alive) return;
    for (const c of this.charts) c.chart?.destroy();
    this.charts = [];
    const box = this.$('curves');
    box.replaceChildren();
    if (!this.names.length) {
      const none = make('div', undefined, 'card curve');
      const plot = make('div', undefined, 'plot');
      plot.append(make('p', 'Curves appear with the first learner steps.', 'none'));
      none.append(plot);
      box.append(none);
      return;
    }
    chosen.slice(0, CURVES).forEach((n, i) => this.addCurve(Chart, box, n, i));
  }

  addCurve(Chart, box, chosen, index) {
    const card = make('figure', undefined, 'card curve');
    const top = make('div', undefined, 'top');
    const select = make('select');
    select.setAttribute('aria-label', `Metric of curve ${index + 1}`);
    for (const n of this.names) select.append(new Option(n, n, false, n === chosen));
    const last = make('output');
    const plot = make('div', undefined, 'plot');
    const canvas = make('canvas');
    canvas.setAttribute('role', 'img');
    plot.append(canvas);
    top.append(select, last);
    card.append(top, plot);
    box.append(card);
    const c = { select, last, canvas, chart: this.newChart(Chart, canvas) };
    select.addEventListener('change', () => {
      localStorage.setItem('pmpod.curves', JSON.stringify(this.charts.map((x) => x.select.value)));
      this.history().catch(() => {});
    });
    this.charts.push(c);
  }

  colours() {
    const css = getComputedStyle(document.documentElement);
    return { line: css.getPropertyValue('--curve').trim(), grid: css.getPropertyValue('--line').trim(), text: css.getPropertyValue('--muted').trim() };
  }

  newChart(Chart, canvas) {
    const { line, grid, text } = this.colours();
    const axis = () => ({
      type: 'linear', grid: { color: grid, drawTicks: false }, border: { display: false },
      ticks: { color: text, maxTicksLimit: 6, includeBounds: false, padding: 6, maxRotation: 0, callback: (v) => short(v) },
    });
    return new Chart(canvas, {
      type: 'line',
      data: { datasets: [{ data: [], borderColor: line, backgroundColor: line, borderWidth: 2, pointRadius: 0, pointHitRadius: 8, tension: 0 }] },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: true,
        interaction: { mode: 'nearest', axis: 'x', intersect: false },
        plugins: { legend: { display: false }, tooltip: { displayColors: false, callbacks: {
          title: (items) => short(items[0].parsed.x), label: (i) => short(i.parsed.y) } } },
        scales: { x: { ...axis(), bounds: 'data' }, y: axis() },
      },
    });
  }

  recolour() {
    const { line, grid, text } = this.colours();
    for (const { chart } of this.charts) {
      Object.assign(chart.data.datasets[0], { borderColor: line, backgroundColor: line });
      for (const s of Object.values(chart.options.scales)) {
        s.grid.color = grid;
        s.ticks.color = text;
      }
      chart.update();
    }
  }

  plot(c, series) {
    if (!c.chart) return;
    const axis = this.$('axis').value;
    const points = [];
    let first = null;
    for (let i = 0; series && i < series.value.length; i++) {
      if (series.value[i] === null) continue;
      if (first === null) first = series.wall_ms[i];
      const x = axis === 'wall_ms' ? (series.wall_ms[i] - first) / 60000 : series[axis][i];
      points.push({ x, y: series.value[i] });
    }
    points.sort((a, b) => a.x - b.x);
    c.chart.data.datasets[0].data = points;
    c.chart.data.datasets[0].pointRadius = points.length < 30 ? 3 : 0; // a line needs two
    c.chart.update('none');
    const value = points.length ? points[points.length - 1].y : null;
    c.last.textContent = short(value);
    c.canvas.setAttribute('aria-label', `${c.select.value}: ${points.length} points, last ${short(value)}`);
  }

  async events() {
    const said = (await get('observer', `/api/events?after=${this.lastEvent}&count=1000`)).events;
    if (!said.length || !this.alive) return;
    this.lastEvent = said[said.length - 1].id;
    const list = this.$('events');
    for (const e of said) {
      const li = make('li');
      const when = new Date(e.wall_ms);
      const time = make('time', when.toLocaleTimeString());
      time.dateTime = when.toISOString();
      time.title = when.toLocaleString();
      li.append(time, make('b', e.kind), make('span', `${e.who}${e.detail && e.detail !== '{}' ? ` ${e.detail}` : ''}`, 'muted'));
      list.prepend(li);
    }
    while (list.children.length > EVENTS_SHOWN) list.lastChild.remove();
    if (said.some((e) => e.kind === 'setting' || e.kind === 'set')) this.settings().catch(() => {});
  }

  async labelers() {
    let who;
    let pairs;
    try {
      who = (await get('observer', '/api/review/labelers')).labelers;
      pairs = await get('observer', '/api/review/agreement');
    } catch (error) {
      if (error instanceof ApiError && [400, 403, 503].includes(error.status)) {
        this.$('people-card').hidden = true;
        this.people = false;
        return;
      }
      throw error;
    }
    if (!this.alive) return;
    fill(this.$('people'), ['person', 'accepts', 'rejects', 'skips', 'withdrawn', 'agrees', 'known truth', 'last'],
      who.map((l) => [l.who, short(l.accepts), short(l.rejects), short(l.skips), short(l.withdrawn), percent(l.agreement) ?? '–',
        l.gold ? percent(l.gold_right / l.gold) : '–', span(Date.now() - l.last_ms)]), 'Nobody has judged anything yet.');
    const n = pairs.numbers;
    const parts = [];
    if (n.krippendorff_alpha !== undefined) parts.push(`Krippendorff’s alpha ${short(n.krippendorff_alpha)}`);
    if (n.fleiss_kappa !== undefined) parts.push(`Fleiss’ kappa ${short(n.fleiss_kappa)}`);
    if (n.raw !== undefined) parts.push(`raw agreement ${percent(n.raw)}`);
    this.$('agreement').textContent = parts.length ? `Agreement: ${parts.join(', ')}.` : '';
  }

  // ---- control

  async settings() {
    const said = (await get('observer', '/api/settings')).settings;
    if (!this.alive) return;
    const box = this.$('settings');
    if (box.contains(document.activeElement) && document.activeElement.tagName === 'INPUT') return;
    box.replaceChildren(...said.map((s) => this.setting(s)));
  }

  setting(s) {
    const form = make('form');
    const label = make('label', s.key);
    const input = make('input');
    const id = `set-${s.key}`;
    label.htmlFor = id;
    input.id = id;
    input.value = s.value;
    input.spellcheck = false;
    input.setAttribute('aria-describedby', `${id}-doc`);
    const unit = make('span', unitOf(s.key), 'unit');
    const button = make('button', 'Set');
    button.disabled = true;
    input.addEventListener('input', () => { button.disabled = input.value.trim() === s.value; });
    const doc = make('small', `${s.doc} (${s.range})`);
    doc.id = `${id}-doc`;
    form.append(label, input, unit, button, doc);
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      input.blur();
      const value = `${input.value.trim()} ${unitOf(s.key)}`.trim();
      if (!await this.ask(`Set ${s.key} to ${value}?`, `It is ${s.value} now, and may be ${s.range}. The change is kept in the audit log.`, 'Set')) {
        input.value = s.value;
        button.disabled = true;
        return;
      }
      if (await this.control(button, { action: 'set', key: s.key, value: input.value.trim() })) this.settings().catch(() => {});
    });
    return form;
  }

  async control(button, body) {
    if (about.tokens && !hasSecret('operator')) {
      const token = await this.askOperator();
      if (!token) return false;
      try {
        await signIn('operator', token);
      } catch (error) {
        this.ui.toast(error.message);
        return false;
      }
    }
    button.disabled = true;
    try {
      const said = await post('operator', '/api/control', body);
      this.ui.toast(body.action === 'set' ? `${body.key} is ${said.detail.new}, was ${said.detail.old}.` : `Done: ${body.action}.`);
      await this.events();
      return true;
    } catch (error) {
      this.ui.toast(error.message || 'That did not work.');
      return false;
    } finally {
      button.disabled = false;
    }
  }

  // A small dialog of a form; what its `done` gives when it was agreed to, else the empty string.
  dialog(title, nodes, agree, done) {
    const dialog = make('dialog', undefined, 'card');
    const form = make('form');
    const head = make('h2', title);
    const row = make('div', undefined, 'dialog-row');
    const no = make('button', 'Cancel');
    const ok = make('button', agree, 'primary');
    form.method = 'dialog';
    head.id = 'dialog-title';
    dialog.setAttribute('aria-labelledby', head.id);
    no.type = 'button';
    no.addEventListener('click', () => dialog.close(''));
    ok.value = 'ok';
    row.append(no, ok);
    form.append(head, ...nodes, row);
    dialog.append(form);
    document.body.append(dialog);
    dialog.showModal();
    if (!dialog.querySelector('input')) ok.focus();
    return new Promise((resolve) => {
      dialog.addEventListener('close', () => {
        dialog.remove();
        resolve(dialog.returnValue === 'ok' ? done() : '');
      });
    });
  }

  ask(title, text, agree) { return this.dialog(title, [make('p', text, 'muted')], agree, () => 'yes'); }

  // Control wants an operator's token beside the observer's.
  askOperator() {
    const label = make('label', undefined, 'field');
    const input = make('input');
    input.type = 'password';
    input.autocomplete = 'off';
    label.append(make('span', 'Token'), input);
    return this.dialog('This wants an operator’s token', [label], 'Go on', () => input.value.trim());
  }
}
