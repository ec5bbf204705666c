#include "coordinator/store/verify_rules.hpp"

#include <fmt/core.h>

#include <array>
#include <utility>

namespace gauntlet::store {
namespace {

// States by number: 0 waiting, 1 queued, 2 leased, 3 done, 4 failed, 5 blocked, 6 cancelled.
constexpr std::array kRules = {
    // ------------------------------------------------------------ states and needs
    VerifyRule{"states", R"(
      SELECT @j, 'is queued, but needs ' || @n || ', which is ' || @n.state
      FROM jobs j JOIN needs e ON e.job_id = j.job_id JOIN jobs n ON n.job_id = e.needs_job_id
      WHERE j.state = 1 AND n.state <> 3)"},
    VerifyRule{"states", R"(
      SELECT @j, 'is waiting, though everything it needs is done'
      FROM jobs j WHERE j.state = 0 AND NOT EXISTS (
        SELECT 1 FROM needs e JOIN jobs n ON n.job_id = e.needs_job_id
        WHERE e.job_id = j.job_id AND n.state <> 3))"},
    VerifyRule{"states", R"(
      SELECT @j, 'is waiting, but needs ' || @n || ', which is ' || @n.state
      FROM jobs j JOIN needs e ON e.job_id = j.job_id JOIN jobs n ON n.job_id = e.needs_job_id
      WHERE j.state = 0 AND n.state IN (4, 5, 6))"},
    VerifyRule{"states", R"(
      SELECT @j, 'is blocked, though nothing it needs is failed, blocked or cancelled'
      FROM jobs j WHERE j.state = 5 AND NOT EXISTS (
        SELECT 1 FROM needs e JOIN jobs n ON n.job_id = e.needs_job_id
        WHERE e.job_id = j.job_id AND n.state IN (4, 5, 6)))"},
    VerifyRule{"states", R"(
      SELECT @j, 'is blocked by ' || CASE WHEN b.job_id IS NULL THEN 'nothing' ELSE @b || ', which is ' || @b.state END
      FROM jobs j LEFT JOIN jobs b ON b.job_id = j.blocked_by
      WHERE j.state = 5 AND coalesce(b.state, 0) NOT IN (4, 6))"},
    VerifyRule{"states", R"(
      SELECT @j, 'is ' || @j.state || ', but names a job that blocks it'
      FROM jobs j WHERE j.state <> 5 AND j.blocked_by IS NOT NULL)"},
    VerifyRule{"states", R"(
      SELECT @j, 'is failed without a cause' FROM jobs j WHERE j.state = 4 AND coalesce(j.code, 0) = 0)"},
    VerifyRule{"states", R"(
      SELECT @j, 'is ' || @j.state || ', but has a cause of failure'
      FROM jobs j WHERE j.state <> 4 AND j.code IS NOT NULL)"},
    VerifyRule{"needs", R"(
      SELECT @j, 'needs ' || @n || ', which came after it'
      FROM needs e JOIN jobs j ON j.job_id = e.job_id JOIN jobs n ON n.job_id = e.needs_job_id
      WHERE e.needs_job_id >= e.job_id)"},

    // ------------------------------------------------------------ leases and attempts
    VerifyRule{"leases", R"(
      SELECT @j, 'is leased, but has no lease'
      FROM jobs j WHERE j.state = 2 AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.job_id = j.job_id))"},
    VerifyRule{"leases", R"(
      SELECT @j, 'is ' || @j.state || ', but holds lease ' || l.lease_id
      FROM leases l JOIN jobs j ON j.job_id = l.job_id WHERE j.state <> 2)"},
    VerifyRule{"leases", R"(
      SELECT @j, 'is at attempt ' || j.attempt || ', but lease ' || l.lease_id || ' is of attempt ' || l.attempt
      FROM leases l JOIN jobs j ON j.job_id = l.job_id WHERE l.attempt <> j.attempt)"},
    VerifyRule{"leases", R"(
      SELECT @j, 'holds lease ' || l.lease_id || ', but attempt ' || l.attempt || ' has ended'
      FROM leases l JOIN jobs j ON j.job_id = l.job_id JOIN attempts a ON a.job_id = l.job_id AND a.attempt = l.attempt)"},
    VerifyRule{"leases", R"(
      SELECT @j, 'holds lease ' || l.lease_id || ', which ' || @k || ' holds too'
      FROM (SELECT lease_id FROM leases GROUP BY lease_id HAVING count(*) > 1) d
      JOIN leases l ON l.lease_id = d.lease_id JOIN leases m ON m.lease_id = d.lease_id AND m.job_id > l.job_id
      JOIN jobs j ON j.job_id = l.job_id JOIN jobs k ON k.job_id = m.job_id)"},
    VerifyRule{"leases", R"(
      SELECT @j, 'holds lease ' || l.lease_id || ' of worker ' || w.name || ', which has left'
      FROM leases l JOIN jobs j ON j.job_id = l.job_id JOIN workers w ON w.worker_id = l.worker_id
      WHERE w.left_ms IS NOT NULL)"},
    VerifyRule{"leases", R"(
      WITH held AS (
        SELECT lease_id, job_id, worker_id, gpus FROM leases l WHERE NOT %gang
        UNION ALL SELECT l.lease_id, l.job_id, %0, %2 FROM leases l, %parts)
      SELECT @j, 'has a gpu of worker ' || w.name || ' that ' || @k || ' has too'
      FROM held l JOIN held m ON m.worker_id = l.worker_id AND m.lease_id > l.lease_id
      JOIN jobs j ON j.job_id = l.job_id JOIN jobs k ON k.job_id = m.job_id
      JOIN workers w ON w.worker_id = l.worker_id
      WHERE l.gpus <> 0 AND (l.gpus & m.gpus) <> 0)"},
    VerifyRule{"leases", R"(
      SELECT @j, 'holds lease ' || l.lease_id || ' with parts that are none: ' || l.parts
      FROM leases l JOIN jobs j ON j.job_id = l.job_id
      WHERE l.parts <> '' AND (NOT %gang OR EXISTS (SELECT 1 FROM %parts WHERE
        coalesce(%0, -1) < 1 OR coalesce(%1, 0) < 1 OR coalesce(%2, -1) < 0)))"},
    VerifyRule{"leases", R"(
      SELECT @j, 'holds lease ' || l.lease_id || ' of worker ' || l.worker_id || ' with gpus ' || l.gpus ||
        ', but its first part is ' || p.value
      FROM leases l JOIN jobs j ON j.job_id = l.job_id, %parts
      WHERE p.key = 0 AND (%0 <> l.worker_id OR %2 <> l.gpus))"},
    VerifyRule{"leases", R"(
      SELECT @j, 'holds lease ' || l.lease_id || ' with two parts on worker ' || %0
      FROM leases l JOIN jobs j ON j.job_id = l.job_id, %parts WHERE %0 IS NOT NULL
      GROUP BY l.lease_id, %0 HAVING count(*) > 1)"},
    VerifyRule{"leases", R"(
      SELECT @j, 'holds lease ' || l.lease_id || ' with a part on ' ||
        CASE WHEN w.worker_id IS NULL THEN 'worker ' || %0 || ', of which there is no record'
        ELSE 'worker ' || w.name || ', which has left' END
      FROM leases l JOIN jobs j ON j.job_id = l.job_id, %parts LEFT JOIN workers w ON w.worker_id = %0
      WHERE p.key > 0 AND %0 IS NOT NULL AND (w.worker_id IS NULL OR w.left_ms IS NOT NULL))"},
    VerifyRule{"attempts", R"(
      SELECT @j, 'is at attempt ' || j.attempt || ', but has attempt ' || a.attempt
      FROM attempts a JOIN jobs j ON j.job_id = a.job_id WHERE a.attempt > j.attempt)"},
    VerifyRule{"attempts", R"(
      SELECT @j, 'is at attempt ' || j.attempt || ', of which there is no record'
      FROM jobs j WHERE j.attempt > 0 AND j.state <> 2 AND NOT EXISTS (
        SELECT 1 FROM attempts a WHERE a.job_id = j.job_id AND a.attempt = j.attempt))"},
    VerifyRule{"attempts", R"(
      SELECT @j, 'is done, but its attempt ' || j.attempt || ' did not succeed'
      FROM jobs j WHERE j.state = 3 AND NOT EXISTS (
        SELECT 1 FROM attempts a WHERE a.job_id = j.job_id AND a.attempt = j.attempt AND a.code = 0
        AND a.ended_ms IS NOT NULL))"},
    VerifyRule{"attempts", R"(
      SELECT @j, 'has attempt ' || a.attempt || ', which ended without an outcome'
      FROM attempts a JOIN jobs j ON j.job_id = a.job_id WHERE a.ended_ms IS NULL OR a.code IS NULL)"},
    VerifyRule{"counters", R"(
      SELECT 'counter last_lease', 'is ' || c.value || ', but lease ' || a.last || ' was given'
      FROM counters c, (SELECT max(lease_id) AS last FROM (
        SELECT lease_id FROM attempts UNION ALL SELECT lease_id FROM leases)) a
      WHERE c.name = 'last_lease' AND a.last > c.value)"},
    VerifyRule{"counters", R"(
      SELECT 'counter last_worker', 'is ' || c.value || ', but there is worker ' || w.last
      FROM counters c, (SELECT max(worker_id) AS last FROM workers) w
      WHERE c.name = 'last_worker' AND w.last > c.value)"},

    // ------------------------------------------------------------ numbers
    VerifyRule{"numbers", R"(
      SELECT DISTINCT @j, 'has numbers of attempt ' || r.attempt || ', which did not succeed'
      FROM results r JOIN jobs j ON j.job_id = r.job_id WHERE NOT EXISTS (
        SELECT 1 FROM attempts a WHERE a.job_id = r.job_id AND a.attempt = r.attempt AND a.code = 0))"},
    VerifyRule{"numbers", R"(
      SELECT DISTINCT @j, 'has curves of attempt ' || r.attempt || ', which did not succeed'
      FROM curves r JOIN jobs j ON j.job_id = r.job_id WHERE NOT EXISTS (
        SELECT 1 FROM attempts a WHERE a.job_id = r.job_id AND a.attempt = r.attempt AND a.code = 0))"},
    VerifyRule{"numbers", R"(
      SELECT DISTINCT @j, 'was done by attempt ' || j.attempt || ', but has numbers of attempt ' || r.attempt
      FROM results r JOIN jobs j ON j.job_id = r.job_id WHERE j.state = 3 AND r.attempt <> j.attempt)"},
    VerifyRule{"numbers", R"(
      SELECT @j, 'has readings per query of ' || m.name || ', but not the number itself'
      FROM result_queries q JOIN jobs j ON j.job_id = q.job_id JOIN metrics m ON m.metric_id = q.metric_id
      WHERE NOT EXISTS (SELECT 1 FROM results r WHERE r.job_id = q.job_id AND r.metric_id = q.metric_id))"},
    VerifyRule{"numbers", R"(
      SELECT @j, 'has readings per query of ' || m.name || ' that are no list of float32'
      FROM result_queries q JOIN jobs j ON j.job_id = q.job_id JOIN metrics m ON m.metric_id = q.metric_id
      WHERE length(q.per_query) % 4 <> 0)"},
    VerifyRule{"numbers", R"(
      SELECT @j, 'has the curve ' || c.name || ' with ' || length(c.x) || ' bytes of x and ' || length(c.y) || ' of y'
      FROM curves c JOIN jobs j ON j.job_id = c.job_id
      WHERE length(c.x) <> length(c.y) OR length(c.x) % 4 <> 0)"},

    // ------------------------------------------------------------ sweeps and cells
    VerifyRule{"cells", R"(
      SELECT 'cell ' || c.cell_id, 'of sweep ' || s.name || ' has no job'
      FROM cells c JOIN sweeps s ON s.sweep_id = c.sweep_id
      WHERE NOT EXISTS (SELECT 1 FROM cell_jobs x WHERE x.cell_id = c.cell_id))"},
    VerifyRule{"cells", R"(
      SELECT 'cell ' || c.cell_id, 'has ' || @j || ', which is no job of its sweep ' || s.name
      FROM cell_jobs x JOIN cells c ON c.cell_id = x.cell_id JOIN sweeps s ON s.sweep_id = c.sweep_id
      JOIN jobs j ON j.job_id = x.job_id WHERE NOT EXISTS (
        SELECT 1 FROM sweep_jobs m WHERE m.sweep_id = c.sweep_id AND m.job_id = x.job_id))"},
    VerifyRule{"cells", R"(
      SELECT 'cell ' || c.cell_id, 'is of revision ' || c.revision || ', which sweep ' || s.name || ' does not have'
      FROM cells c JOIN sweeps s ON s.sweep_id = c.sweep_id WHERE NOT EXISTS (
        SELECT 1 FROM spec_revisions r WHERE r.sweep_id = c.sweep_id AND r.revision = c.revision))"},
    VerifyRule{"cells", R"(
      SELECT 'cell ' || c.cell_id, 'must have the metrics of set ' || c.metric_set || ', which lists none'
      FROM cells c WHERE c.metric_set <> 0 AND NOT EXISTS (
        SELECT 1 FROM cell_metrics x WHERE x.metric_set = c.metric_set))"},
    VerifyRule{"sweeps", R"(
      SELECT 'sweep ' || s.name, 'counts ' || s.reused || ' jobs done before, but has ' || m.n || ' in all'
      FROM sweeps s JOIN (SELECT sweep_id, count(*) AS n FROM sweep_jobs GROUP BY sweep_id) m
      ON m.sweep_id = s.sweep_id WHERE s.reused > m.n)"},
    VerifyRule{"texts", R"(
      SELECT @j, 'has no text'
      FROM jobs j WHERE NOT EXISTS (SELECT 1 FROM job_specs p WHERE p.job_id = j.job_id))"},
};

}  // namespace

std::span<const VerifyRule> verify_rules() { return kRules; }

namespace {

/// Words of the questions about gangs, of a lease `l`: whether it is one, its parts as `p`, and of a part its
/// worker, ranks and GPUs. Texts that are no parts have none.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kGangWords = {
    {{"%gang",
      "(json_valid(l.parts) AND json_type(CASE WHEN json_valid(l.parts) THEN l.parts END) = 'array')"},
     {"%parts", "json_each(CASE WHEN json_valid(l.parts) THEN l.parts ELSE '[]' END) p"},
     {"%0", "CASE p.type WHEN 'array' THEN json_extract(p.value, '$[0]') END"},
     {"%1", "CASE p.type WHEN 'array' THEN json_extract(p.value, '$[1]') END"},
     {"%2", "CASE p.type WHEN 'array' THEN json_extract(p.value, '$[2]') END"}}};

std::string with_gang_words(std::string_view question) {
  std::string sql(question);
  for (const auto& [word, meaning] : kGangWords) {
    for (std::size_t at = 0; (at = sql.find(word, at)) != std::string::npos; at += meaning.size())
      sql.replace(at, word.size(), meaning);
  }
  return sql;
}

}  // namespace

std::string sql_of(const VerifyRule& rule) {
  std::string sql;
  const std::string question = with_gang_words(rule.question);
  std::string_view rest = question;
  while (true) {
    const std::size_t mark = rest.find('@');
    sql += rest.substr(0, mark);
    if (mark == std::string_view::npos) return sql;
    rest.remove_prefix(mark + 1);
    const char alias = rest.front();
    rest.remove_prefix(1);
    if (rest.starts_with(".state")) {
      rest.remove_prefix(6);
      sql += fmt::format("(SELECT name FROM job_states WHERE state = {}.state)", alias);
    } else {
      sql += fmt::format("'job ' || lower(substr(hex({}.key), 1, 12))", alias);
    }
  }
}

}  // namespace gauntlet::store
