// What the views are made of: elements, numbers as words, questions to the coordinator. Texts of sweeps, jobs and logs become
// text nodes, never markup.
'use strict';

const LABELS = {leased: 'running'};

// ---------------------------------------------------------------- elements

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class') element.className = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, String(value));
  append(element, children);
  return element;
}

/// A table whose rows become cards where the screen is narrow. Columns: [heading, class].
function table(columns, rows) {
  return h('div', {class: 'scroll'}, h('table', {class: 'cards'},
    h('thead', {}, h('tr', {}, columns.map(([heading, kind]) => h('th', {scope: 'col', class: kind || ''}, heading)))),
    h('tbody', {}, rows.map(cells => h('tr', {}, cells.map((cell, index) =>
      h('td', {class: columns[index][1] || '', 'data-label': columns[index][0]}, cell)))))));
}

// ---------------------------------------------------------------- numbers and words

const count = n => n.toLocaleString('en');
const label = state => LABELS[state] || state;
const total = jobs => Object.values(jobs).reduce((sum, n) => sum + n, 0);

function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.round(seconds % 3600 / 60)} min`;
  return `${(seconds / 86400).toFixed(1)} days`;
}

const since = iso => duration(Math.max(0, (Date.now() - Date.parse(iso)) / 1000));
const when = iso => h('time', {datetime: iso, title: iso}, new Date(iso).toLocaleString());
const jobLink = (key, text) => h('a', {href: `#/job/${key}`}, text);
const short = number => Math.abs(number) >= 1e4 || (number !== 0 && Math.abs(number) < 1e-3)
  ? number.toExponential(1) : String(+number.toFixed(4));

function address(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== '' && value !== null && value !== undefined) query.set(name, value);
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

// ---------------------------------------------------------------- fetching

const connection = document.getElementById('connection');

async function ask(path, parameters) {
  let reply;
  try {
    reply = await fetch(address(path, parameters || {}), {credentials: 'same-origin'});
  } catch (error) {
    throw new Error('the coordinator does not answer');
  }
  const text = await reply.text();
  if (reply.ok) return JSON.parse(text);
  let message = text.trim();
  try { message = JSON.parse(text).error; } catch (error) { /* it is a sentence */ }
  throw new Error(message || `the coordinator answered ${reply.status}`);
}

function connected(problem) {
  connection.textContent = problem || 'live';
  connection.className = problem ? 'bad' : '';
}
