// The page: hash routes, each a view that fetches JSON and builds its elements.
'use strict';

const STATES = ['waiting', 'queued', 'leased', 'done', 'failed', 'blocked', 'cancelled'];
const BAR = ['done', 'leased', 'failed', 'blocked', 'cancelled'];
const POLL_MS = 2000;

// ---------------------------------------------------------------- views

const main = document.getElementById('main');
let closeView = () => {};

/// Renews a place; who was on a link in it with the keyboard stays there.
function keepFocus(place, renew) {
  const focused = document.activeElement;
  const link = focused && focused !== place && place.contains(focused) ? focused.getAttribute('href') : null;
  renew();
  const again = link === null ? null : [...place.querySelectorAll('a')].find(one => one.getAttribute('href') === link);
  if (again) again.focus({preventScroll: true});
}

/// Shows `build(data)` in `place`, again whenever what `read` gives has changed, until the view is left.
function live(place, read, build, everyMs = POLL_MS) {
  let last = null, timer = 0, open = true;
  async function turn() {
    try {
      const data = await read();
      if (!open) return;
      connected('');
      const text = JSON.stringify(data);
      if (text !== last) {
        last = text;
        keepFocus(place, () => place.replaceChildren(...[build(data)].flat(Infinity).filter(Boolean)));
      }
    } catch (error) {
      if (!open) return;
      connected(error.message);
      if (last === null) place.replaceChildren(h('p', {class: 'problem'}, error.message));
    }
    if (open && everyMs > 0) timer = setTimeout(turn, everyMs);
  }
  turn();
  return () => { open = false; clearTimeout(timer); };
}

function bar(jobs, large) {
  const n = total(jobs) || 1;
  const done = jobs.done || 0;
  return h('div', {class: large ? 'bar large' : 'bar', role: 'img', 'aria-label': `${count(done)} of ${count(total(jobs))} jobs done`},
    BAR.map(state => {
      if (!jobs[state]) return null;
      const part = h('span', {class: state});
      part.style.width = `${100 * jobs[state] / n}%`;
      return part;
    }));
}

function chips(sweep) {
  return h('ul', {class: 'chips'}, STATES.filter(state => sweep.jobs[state]).map(state => h('li', {},
    h('span', {class: `dot ${state}`}),
    h('a', {href: address('#/jobs', {sweep: sweep.sweep_id, state})}, `${count(sweep.jobs[state])} ${label(state)}`))),
    sweep.reused ? h('li', {class: 'quiet'}, `${count(sweep.reused)} reused`) : null);
}

function viewSweeps() {
  const list = h('div', {});
  main.replaceChildren(h('h1', {}, 'Sweeps'), list);
  return live(list, () => ask('/api/status'), status => {
    if (status.sweeps.length === 0) return h('p', {class: 'quiet'}, 'No sweep has been submitted yet: ', h('code', {}, 'gauntlet submit SPEC'));
    const rows = [...status.sweeps].reverse().map(sweep => [
      h('a', {href: `#/sweep/${sweep.sweep_id}`}, sweep.name),
      bar(sweep.jobs), `${count(sweep.jobs.done || 0)} of ${count(total(sweep.jobs))}`, count(sweep.jobs.failed || 0),
      sweep.paused ? 'paused' : (sweep.jobs.done === total(sweep.jobs) ? 'done' : duration(sweep.eta_s)), when(sweep.submitted_at)]);
    return table([['Sweep', 'wide'], ['Progress'], ['Done', 'number'], ['Failed', 'number'], ['Left', 'number'], ['Submitted']], rows);
  });
}

function progressOf(job) {
  const at = job.progress;
  const parts = [];
  if (at.epochs) parts.push(`epoch ${at.epoch} of ${at.epochs}`);
  else if (at.phase) parts.push(at.phase);
  for (const [name, value] of Object.entries(at.losses).slice(0, 2)) parts.push(`${name} ${short(value)}`);
  if (at.rate) parts.push(`${short(at.rate)}/s`);
  return parts.join(', ') || '–';
}

const MAX_SHOWN = 50;  // of running and of failed jobs

/// What a list leaves out, of so many.
function more(n, state, sweep) {
  if (n <= MAX_SHOWN) return null;
  return h('p', {class: 'quiet'}, `and ${count(n - MAX_SHOWN)} more: `, h('a', {href: address('#/jobs', {sweep, state})}, 'all of them'));
}

function running(jobs, sweep) {
  if (jobs.length === 0) return h('p', {class: 'quiet'}, 'Nothing runs.');
  return [table([['Job', 'wide'], ['Progress', 'wide'], ['Worker'], ['For', 'number']],
    jobs.slice(0, MAX_SHOWN).map(job => [jobLink(job.key, job.title), progressOf(job), job.worker, since(job.started_at)])),
    more(sweep.jobs.leased || 0, 'leased', sweep.sweep_id)];
}

function failed(jobs, sweep) {
  return [h('h2', {}, 'Failed'), table([['Job', 'wide'], ['Why', 'wide'], ['Blocks', 'number']],
    jobs.slice(0, MAX_SHOWN).map(job => [jobLink(job.key, job.title), h('span', {class: 'problem'}, `${job.error}: ${job.message}`), count(job.blocks)])),
    more(sweep.jobs.failed || 0, 'failed', sweep.sweep_id)];
}

function viewSweep(id) {
  const state = h('div', {}), results = h('div', {}), pace = h('div', {class: 'plots'});
  main.replaceChildren(state, results, pace);
  const stopState = live(state, () => ask('/api/status', {sweep: id}), status => {
    const sweep = status.sweeps[0];
    document.title = `${sweep.name} – Gauntlet`;
    const left = sweep.paused ? 'paused' : sweep.jobs.done === total(sweep.jobs) ? 'done' : `${duration(sweep.eta_s)} left`;
    return [h('h1', {}, sweep.name), bar(sweep.jobs, true),
      h('p', {class: 'quiet'}, `${left}; priority ${sweep.priority}; submitted `, when(sweep.submitted_at)), chips(sweep),
      h('h2', {}, 'Running'), running(status.running, sweep),
      status.failed.length ? failed(status.failed, sweep) : null,
      status.cancelled.length ? [h('h2', {}, 'Cancelled'), h('ul', {}, status.cancelled.map(group => h('li', {}, `${count(group.jobs)}: ${group.message}`)))] : null];
  });
  const stopResults = sweepResults(results, id);
  const stopPace = live(pace, () => ask('/api/throughput', {sweep: id}), throughput, 5000);
  return () => { stopState(); stopResults(); stopPace(); };
}

function throughput({curves}) {
  return curves.filter(one => one.x.length > 1).map(one => plot(one.name, [one], one.x_label, one.y_label));
}

function sweepResults(place, id) {
  const choice = h('select', {'aria-label': 'Metric'}), numbers = h('div', {}), curves = h('div', {class: 'plots'});
  let stopTable = () => {}, stopCurves = () => {}, open = true;
  function show() {
    stopTable();
    stopTable = live(numbers, () => ask('/api/table', {sweep: id, metric: choice.value}), resultTable, 5000);
  }
  choice.addEventListener('change', show);
  ask('/api/metrics', {sweep: id}).then(({metrics}) => {
    const single = metrics.filter(name => !/^pr(:|$)/.test(name));
    if (!open || single.length === 0) return;
    const first = ['map', 't_map'].find(name => single.includes(name)) || single[0];
    choice.replaceChildren(...single.map(name => h('option', {selected: name === first}, name)));
    place.replaceChildren(h('h2', {}, 'Results ', choice), numbers, curves);
    show();
    stopCurves = live(curves, () => ask('/api/curves', {sweep: id, name: 'pr:radius_micro'}), panels, 5000);
  }).catch(error => { place.replaceChildren(h('p', {class: 'problem'}, error.message)); });
  return () => { open = false; stopTable(); stopCurves(); };
}

function resultTable(data) {
  const percent = data.units.every(unit => unit === 'ratio');
  const number = value => (value * (percent ? 100 : 1)).toFixed(percent ? 1 : 3);
  const shown = entry => {
    if (entry.mean === undefined) return entry.state === 'blank' ? '' : '–';
    return entry.std === null ? number(entry.mean) : `${number(entry.mean)} ± ${number(entry.std)}`;
  };
  const kind = entry => ['best', 'second'].includes(entry.mark) ? entry.mark : '';
  const nHeads = data.column_titles.length;
  const head = [...Array(nHeads).keys()].map(level => h('tr', {},
    level === 0 ? data.row_titles.map(title => h('th', {scope: 'col', rowspan: nHeads, class: 'level'}, title)) : null,
    data.columns.map(column => h('th', {scope: 'col', class: 'number level'}, column.labels[level]))));
  const repeats = (index, level) => index > 0 && data.rows[index].labels.slice(0, level + 1).every((text, at) => text === data.rows[index - 1].labels[at]);
  const body = data.rows.map((row, index) => h('tr', {},
    row.labels.map((text, level) => h('th', {scope: 'row', class: repeats(index, level) ? 'repeated' : ''}, text)),
    data.entries[index].map(entry => h('td', {class: kind(entry)}, shown(entry)))));
  const words = [data.title, percent ? 'in percent' : null, data.missing.length ? `${count(data.missing.length)} numbers are still missing` : null];
  return [h('div', {class: 'scroll'}, h('table', {class: 'results'},
    h('caption', {}, words.filter(Boolean).join('; ')), h('thead', {}, head), h('tbody', {}, body)))];
}

// ---------------------------------------------------------------- jobs

function viewJobs(parameters) {
  const text = h('input', {type: 'search', id: 'find', value: parameters.get('text') || '', placeholder: 'words of the title, or a key'});
  const state = h('select', {}, h('option', {value: ''}, 'any state'), STATES.map(name =>
    h('option', {value: name, selected: parameters.get('state') === name}, label(name))));
  const sweep = h('select', {}, h('option', {value: ''}, 'all sweeps'));
  const list = h('div', {});
  const go = () => { location.hash = address('#/jobs', {sweep: sweep.value, state: state.value, text: text.value}); };
  const form = h('form', {class: 'filter', onsubmit: event => { event.preventDefault(); go(); }},
    h('label', {}, 'Sweep', sweep), h('label', {}, 'State', state), h('label', {}, 'Find', text), h('button', {}, 'Show'));
  for (const choice of [sweep, state]) choice.addEventListener('change', go);
  main.replaceChildren(h('h1', {}, 'Jobs'), form, list);
  ask('/api/status').then(status => {
    sweep.append(...[...status.sweeps].reverse().map(one => h('option', {value: one.sweep_id, selected: String(one.sweep_id) === parameters.get('sweep')}, one.name)));
    connected('');
  }).catch(error => connected(error.message));
  jobPages(list, {sweep: parameters.get('sweep'), state: parameters.get('state'), text: parameters.get('text')});
  return () => {};
}

function jobPages(place, filter) {
  const rows = h('tbody', {}), more = h('button', {onclick: () => load()}, 'More'), note = h('p', {class: 'quiet', role: 'status'});
  const columns = ['Job', 'State', 'Attempts', 'Changed'];
  place.replaceChildren(h('div', {class: 'scroll'}, h('table', {class: 'cards'},
    h('thead', {}, h('tr', {}, columns.map(name => h('th', {scope: 'col'}, name)))), rows)), note, more);
  let after = null, shown = 0;
  async function load() {
    more.disabled = true;
    try {
      const page = await ask('/api/jobs', {...filter, after, limit: 100});
      shown += page.jobs.length;
      rows.append(...page.jobs.map(job => h('tr', {},
        h('td', {class: 'wide', 'data-label': 'Job'}, jobLink(job.key, job.title)),
        h('td', {'data-label': 'State'}, h('span', {}, h('span', {class: `dot ${job.state}`}), label(job.state))),
        h('td', {'data-label': 'Attempts'}, job.attempts), h('td', {'data-label': 'Changed'}, when(job.changed_at)))));
      after = page.next;
      more.hidden = after === null;
      note.textContent = shown === 0 ? (after === null ? 'No job fits.' : 'None so far; More looks further.') : after === null ? `${count(shown)} jobs.` : '';
    } catch (error) {
      note.textContent = error.message;
    }
    more.disabled = false;
  }
  load();
}

function viewJob(key) {
  const facts = h('div', {}), tries = h('div', {}), curves = h('div', {class: 'plots'}), output = h('pre', {tabindex: 0, 'aria-label': 'Log'});
  const which = h('select', {'aria-label': 'Attempt'});
  const log = h('div', {hidden: true}, h('h2', {}, 'Log ', which), output);
  main.replaceChildren(facts, tries, log, curves);
  const stopFacts = live(facts, () => ask('/api/explain', {job: key}), job => {
    document.title = `${job.title} – Gauntlet`;
    return [h('h1', {}, job.title), h('p', {}, h('span', {class: `dot ${job.state}`}), label(job.state), ' ', h('code', {class: 'quiet'}, job.key)),
      job.reasons.length ? h('ul', {}, job.reasons.map(reason => h('li', {}, reason))) : null];
  });
  let follower = null;
  const follow = attempt => {
    if (follower) follower();
    follower = followLog(output, key, attempt);
  };
  which.addEventListener('change', () => follow(which.value));
  const stopTries = live(tries, () => ask('/api/attempts', {job: key}), ({attempts}) => {
    const known = which.options.length;
    if (attempts.length > known) {
      which.replaceChildren(...attempts.map(one => h('option', {value: one.attempt, selected: one === attempts[attempts.length - 1]}, `attempt ${one.attempt}`)));
      log.hidden = false;
      follow(attempts[attempts.length - 1].attempt);
    }
    if (attempts.length === 0) return h('p', {class: 'quiet'}, 'No attempt has begun.');
    return [h('h2', {}, 'Attempts'), table([['Attempt', 'number'], ['Outcome'], ['Worker'], ['Began'], ['Message', 'wide']],
      attempts.map(one => [one.attempt, one.superseded ? `${one.outcome}, superseded` : one.outcome, one.worker, when(one.started_at), one.message || '–']))];
  });
  const stopCurves = live(curves, () => ask('/api/curves', {job: key}), data =>
    data.curves.map(one => plot(one.name, [{label: one.y_label || one.name, x: one.x, y: one.y}], one.x_label, one.y_label)), 5000);
  return () => { stopFacts(); stopTries(); stopCurves(); if (follower) follower(); };
}

const MAX_LOG_CHARACTERS = 2000000;

function followLog(output, key, attempt) {
  output.textContent = '';
  const source = new EventSource(address('/api/log', {job: key, attempt}));
  source.onmessage = event => {
    const data = JSON.parse(event.data);
    const atEnd = output.scrollTop + output.clientHeight >= output.scrollHeight - 30;
    if (data.text !== undefined) output.append(data.text);
    if (data.error !== undefined) output.append(data.error);
    while (output.textContent.length > MAX_LOG_CHARACTERS && output.firstChild !== output.lastChild) output.firstChild.remove();
    if (atEnd) output.scrollTop = output.scrollHeight;
    if (data.ended || data.error !== undefined) source.close();
  };
  source.onerror = () => { if (source.readyState === EventSource.CONNECTING) output.textContent = ''; };  // it starts over
  return () => source.close();
}

// ---------------------------------------------------------------- workers

function viewWorkers() {
  const list = h('div', {});
  main.replaceChildren(h('h1', {}, 'Workers'), list);
  return live(list, () => ask('/api/status'), status => {
    if (status.workers.length === 0) return h('p', {class: 'quiet'}, 'No worker is connected: ', h('code', {}, 'gauntlet worker'));
    return table([['Worker', 'wide'], ['Processors', 'number'], ['GPUs', 'number'], ['Memory', 'number'], ['Running', 'number'], ['State', 'wide']],
      status.workers.map(worker => [worker.name, worker.cpus, worker.gpus, `${count(Math.round(worker.memory_mb / 1024))} GiB`, worker.running, stateOf(worker)]));
  });
}

function stateOf(worker) {
  const said = [];
  if (worker.quarantine) said.push(`in quarantine: ${worker.quarantine}`);
  if (worker.quarantined_gpus.length) said.push(`GPUs ${worker.quarantined_gpus.join(', ')} in quarantine`);
  if (worker.draining) said.push('leaving');
  if (worker.remaining_s) said.push(`leaves in ${duration(worker.remaining_s)}`);
  for (const [name, value] of Object.entries(worker.labels)) said.push(`${name}=${value}`);
  return said.join('; ') || 'well';
}

// ---------------------------------------------------------------- routes

function route() {
  if (location.hash && !location.hash.startsWith('#/')) return;  // the skip link
  closeView();
  document.title = 'Gauntlet';
  const [path, query] = location.hash.slice(1).split('?');
  const parts = path.split('/').filter(Boolean);
  const parameters = new URLSearchParams(query || '');
  const first = parts[0] || '';
  for (const link of document.querySelectorAll('nav a')) {
    const target = link.getAttribute('href').slice(2);
    const here = target === first || (target === '' && first === 'sweep') || (target === 'jobs' && first === 'job');
    if (here) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  }
  if (first === '') closeView = viewSweeps();
  else if (first === 'sweep' && /^\d+$/.test(parts[1] || '')) closeView = viewSweep(parts[1]);
  else if (first === 'jobs') closeView = viewJobs(parameters);
  else if (first === 'job' && /^[0-9a-f]+$/.test(parts[1] || '')) closeView = viewJob(parts[1]);
  else if (first === 'workers') closeView = viewWorkers();
  else { closeView = () => {}; main.replaceChildren(h('h1', {}, 'There is no such page'), h('p', {}, h('a', {href: '#/'}, 'Sweeps'))); }
}

addEventListener('hashchange', route);
addEventListener('keydown', event => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const find = document.getElementById('find');
  if (find) find.focus(); else location.hash = '#/jobs';
});
route();
