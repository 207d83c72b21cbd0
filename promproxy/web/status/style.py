"""How the status page looks: light or dark as the reader's system is, in wide and narrow windows.

In a narrow window each row of a table becomes a card, whose cells are named by ``data-label``.
"""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --line: #dfe3e8; --text: #1c2430; --soft: #5b6675;
  --link: #0b5cad; --good: #0f6b3c; --good-bed: #dff3e7; --bad: #a61b1b; --bad-bed: #fde6e4;
  --wait: #5b6675; --wait-bed: #e8ebf0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2029; --line: #2d3642; --text: #e4e8ee; --soft: #9aa7b8;
    --link: #79b8ff; --good: #6fdc9f; --good-bed: #12351f; --bad: #ff9c94; --bad-bed: #421a19;
    --wait: #a9b4c3; --wait-bed: #2a323d;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif }
header, main { max-width: 100rem; margin: 0 auto; padding: 0 1.25rem }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1.25rem;
  padding-top: 1rem }
h1 { font-size: 1.3rem; margin: 0 }
h1 small { font-weight: normal; font-size: .85rem; color: var(--soft) }
h2 { font-size: 1.05rem; margin: 1.75rem 0 .6rem }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem }
nav.more { margin-left: auto }
a { color: var(--link); text-decoration: none }
a:hover { text-decoration: underline }
a[aria-current] { color: var(--text); font-weight: 600; border-bottom: 2px solid var(--link) }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;
  margin-top: 1.25rem }
.tiles a { display: block; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; padding: .6rem .9rem; color: var(--text) }
.tiles a:hover { border-color: var(--link); text-decoration: none }
.tiles b { display: block; font-size: 1.5rem; line-height: 1.25; font-weight: 600 }
.tiles span { color: var(--soft); font-size: .85rem }
.tiles .down b { color: var(--bad) } .tiles .up b { color: var(--good) }
form { display: flex; flex-wrap: wrap; gap: .6rem; align-items: end; margin-bottom: .75rem }
label { display: flex; flex-direction: column; font-size: .8rem; color: var(--soft); gap: .15rem }
label.wide { flex: 1 1 16rem; max-width: 32rem }
input, select, button { font: inherit; font-size: .9rem; color: var(--text);
  background: var(--card); border: 1px solid var(--line); border-radius: .375rem;
  padding: .35rem .6rem; height: 2.15rem }
select { max-width: 14rem }
button { cursor: pointer; padding: .35rem 1rem; border-color: var(--link); color: var(--link) }
form a { padding: .35rem 0 }
.box { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem; white-space: nowrap }
th, td { padding: .45rem .75rem; vertical-align: top }
tr + tr td, thead + tbody tr td { border-top: 1px solid var(--line) }
tbody tr:hover { background: color-mix(in srgb, var(--link) 6%, transparent) }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
.name { overflow-wrap: anywhere; min-width: 10rem; max-width: 26rem }
.name small, .labels { color: var(--soft); font-size: .8rem }
.name small { display: block }
.labels { overflow-wrap: anywhere }
.labels span { display: inline-block; background: var(--wait-bed); color: var(--wait);
  border-radius: .25rem; padding: 0 .35rem; margin: 0 .25rem .15rem 0 }
.error { color: var(--bad); overflow-wrap: anywhere; min-width: 10rem }
.soft { color: var(--soft) }
.badge { display: inline-block; border-radius: 1rem; padding: 0 .6rem; font-size: .8rem;
  font-weight: 600; white-space: nowrap; color: var(--wait); background: var(--wait-bed) }
.badge.up { color: var(--good); background: var(--good-bed) }
.badge.down { color: var(--bad); background: var(--bad-bed) }
.pages { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline;
  margin: .75rem 0 }
.none { padding: 1.25rem; color: var(--soft) }
pre { margin: 0; padding: .9rem 1.1rem; font: .85rem/1.5 ui-monospace, "Liberation Mono", monospace;
  overflow-x: auto }
footer { color: var(--soft); font-size: .8rem; padding: 1.5rem 1.25rem; text-align: center }
@media (max-width: 62rem) {
  header, main { padding-left: .75rem; padding-right: .75rem }
  nav.more { margin-left: 0 }
  label { flex: 1 1 9rem }
  select { max-width: none }
  label.wide { flex: 1 1 100%; max-width: none }
  .box { background: none; border: 0 }
  table { display: block }
  tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr));
    gap: .6rem }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  tbody tr { display: block; background: var(--card); border: 1px solid var(--line);
    border-radius: .5rem; padding: .4rem .75rem }
  tr + tr td, thead + tbody tr td { border-top: 0 }
  td, .number { display: flex; gap: .75rem; padding: .12rem 0; text-align: left }
  td::before { content: attr(data-label); flex: 0 0 6.5rem; color: var(--soft); font-size: .8rem }
  td.name { display: block; min-width: 0; max-width: none; font-weight: 600;
    padding-bottom: .25rem }
  td.name::before { content: none }
  td.name small { font-weight: normal }
  td:empty, td.labels:empty { display: none }
  .error { min-width: 0 }
  pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem }
}
"""
