// A film to be judged: it loops without sound, and stands still when asked to. Its controls lie below the picture, so that
// nothing covers what is judged.

const SPEEDS = [1, 0.5, 0.25];
const still = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
const speed = {
  get() { return Math.max(0, SPEEDS.indexOf(Number(localStorage.getItem('pmpod.speed') || '1'))); },
  next() { localStorage.setItem('pmpod.speed', String(SPEEDS[(this.get() + 1) % SPEEDS.length])); },
};

const element = (tag, className, text) => {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
};

const seconds = (t) => `${t.toFixed(t < 10 ? 1 : 0)} s`;

// A <figure> with what LabelView calls of it: start, stop, toggle, faster.
export function film(m, describe) {
  const figure = element('figure', 'film');
  const video = element('video');
  const bar = element('div', 'film-bar');
  const play = element('button', 'film-button play');
  const rate = element('button', 'film-button rate');
  const line = element('div', 'film-line');
  const time = element('output', 'film-time', '');
  const alone = `${describe}, a film without sound that plays again and again`;
  video.loop = true;
  video.muted = true;
  video.playsInline = true;
  video.disablePictureInPicture = true;
  video.preload = 'auto';
  video.src = m.blob;
  video.textContent = alone; // for who cannot play it
  video.setAttribute('aria-label', alone);
  play.type = 'button';
  rate.type = 'button';
  line.append(element('i'));
  line.setAttribute('aria-hidden', 'true');
  time.setAttribute('aria-hidden', 'true');
  bar.append(play, line, time, rate);
  figure.append(video, bar);

  let frame = 0;
  const draw = () => {
    line.firstChild.style.transform = `scaleX(${video.duration ? video.currentTime / video.duration : 0})`;
    frame = video.paused ? 0 : requestAnimationFrame(draw);
  };
  const show = () => {
    play.dataset.state = video.paused ? 'paused' : 'playing';
    play.setAttribute('aria-label', video.paused ? 'Play the film' : 'Pause the film');
    play.title = video.paused ? 'Play (space)' : 'Pause (space)';
    const now = SPEEDS[speed.get()];
    rate.textContent = { 1: '1×', 0.5: '½×', 0.25: '¼×' }[now];
    rate.setAttribute('aria-label', `Speed ${now}. Change it`);
    rate.title = 'Speed (F)';
    if (!frame) draw();
  };
  video.addEventListener('play', show);
  video.addEventListener('pause', show);
  video.addEventListener('loadedmetadata', () => {
    time.textContent = seconds(video.duration);
    video.setAttribute('aria-label', `${alone}, ${seconds(video.duration)}`);
  });
  video.addEventListener('error', () => {
    if (video.getAttribute('src')) figure.replaceChildren(element('p', 'muted', `This browser cannot play the film (${m.type}). Its numbers are below.`));
  });
  video.addEventListener('click', () => figure.toggle());
  play.addEventListener('click', () => figure.toggle());
  rate.addEventListener('click', () => figure.faster());

  figure.start = () => {
    video.playbackRate = SPEEDS[speed.get()];
    if (!still()) video.play().catch(() => {}); // a browser may want to be asked: the button is there
    show();
  };
  figure.stop = () => {
    video.pause();
    cancelAnimationFrame(frame);
    frame = 0;
  };
  // Gives its decoder back: a browser has few.
  figure.unload = () => {
    figure.stop();
    video.removeAttribute('src');
    video.load();
  };
  figure.toggle = () => {
    if (video.paused) video.play().catch(() => {});
    else video.pause();
  };
  figure.faster = () => {
    speed.next();
    video.playbackRate = SPEEDS[speed.get()];
    show();
  };
  show();
  return figure;
}
