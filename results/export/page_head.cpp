#include "results/export/page_head.hpp"

#include <fmt/format.h>

#include "results/table/html_text.hpp"

namespace gauntlet::results {
namespace {

constexpr std::string_view kBeforeTitle = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
)";
constexpr std::string_view kStyle = R"(
<style>
:root { color-scheme: light dark; --fg: #1a1a1a; --bg: #fff; --soft: #666; --line: #ccc; --zebra: #f5f5f5; }
@media (prefers-color-scheme: dark) { :root { --fg: #e8e8e8; --bg: #16181b; --soft: #a0a0a0; --line: #444; --zebra: #202328; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--fg); background: var(--bg); margin: 1.5rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid var(--line); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .2rem .6rem; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { border-bottom: 2px solid var(--soft); } td.n { text-align: right; font-variant-numeric: tabular-nums; }
tbody tr:nth-child(even) { background: var(--zebra); } .soft { color: var(--soft); }
pre { background: var(--zebra); padding: .6rem; overflow-x: auto; font-size: .82rem; } code { font-size: .85em; }
.panels { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; width: 300px; } figcaption { font-size: .8rem; }
.frame { fill: none; stroke: var(--soft); } .tick { fill: var(--soft); font-size: 10px; } .line { fill: none; stroke-width: 1.6; }
.legend { list-style: none; padding: 0; margin: .2rem 0; display: flex; flex-wrap: wrap; gap: 0 .8rem; font-size: .8rem; }
.key { width: 26px; height: 8px; } details { margin: .2rem 0; } summary { cursor: pointer; }
)";
constexpr std::string_view kAfterStyle = R"(</style></head><body>
)";

}  // namespace

std::string page_head(std::string_view title, std::string_view style) {
  return fmt::format("{}<title>{}</title>{}{}{}", kBeforeTitle, html_text(title), kStyle, style, kAfterStyle);
}

}  // namespace gauntlet::results
