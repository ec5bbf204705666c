// The text of a job, as submissions and leases carry it, and the options of an entry.
#include "coordinator/store/canonical_head.hpp"
#include "core/base/check.hpp"
#include "core/base/fields.hpp"
#include "core/spec/catalog.hpp"
#include "core/spec/job_spec.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {
namespace {

void complete_options(const Json& options) {
  for (const auto kind : {spec::EntryKind::kDataset, spec::EntryKind::kAttack, spec::EntryKind::kDefense}) {
    for (const spec::CatalogEntry& entry : spec::Catalog::builtin().entries(kind)) {
      const auto complete = complete_config(entry.fields, options, entry.name);
      if (!complete) continue;
      const auto again = complete_config(entry.fields, *complete, entry.name);
      GAUNTLET_CHECK(again && *again == *complete);  // what is normal stays so
    }
  }
}

}  // namespace

void job(Bytes bytes) {
  const std::string_view text = text_of(bytes);
  static_cast<void>(store::read_canonical_head(text));
  const auto form = parse_json(text, "the job");
  if (!form) return;
  if (form->is_object()) complete_options(*form);
  const auto job = spec::job_from_canonical(*form);
  if (!job) return;
  const auto canonical = canonical_json(spec::canonical_form(*job));
  if (!canonical) return;
  const auto again = spec::job_from_canonical(*parse_json(*canonical, "the job again"));
  GAUNTLET_CHECK(again.has_value());
  GAUNTLET_CHECK(*canonical_json(spec::canonical_form(*again)) == *canonical);
  const auto read = store::read_canonical_head(*canonical);
  GAUNTLET_CHECK(read && read->kind == static_cast<std::int64_t>(job->kind) && read->entry == job->entry &&
                 read->version == job->version);
}

}  // namespace gauntlet::fuzz
