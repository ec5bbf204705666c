// A database in a folder of its own, a small sweep for it, and everything that a reader can see.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <string>

#include "coordinator/store/job_store.hpp"
#include "core/db/connection.hpp"
#include "tests/results/synthetic_database.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::store {

namespace fs = std::filesystem;

class Store : public testing::Test {
 protected:
  testing_support::TempFolder folder_;
  fs::path path_ = folder_ / "gauntlet.db";
};

inline testing_support::SyntheticCell cell(const std::string& attack, std::uint64_t seed) {
  testing_support::SyntheticCell item;
  item.cell = {.dataset = "picto",
               .model = "cpah",
               .bits = 32,
               .defense = "none",
               .attack = attack,
               .protocol = attack == "none" ? "none" : "static",
               .direction = "i2t",
               .variant = "",
               .seed = seed};
  return item;
}

inline Submission small_sweep() {
  return testing_support::make_submission("small", {cell("none", 1), cell("pgd", 1)});
}

inline std::int64_t count(JobStore& store, const std::string& table) {
  return *store.connection().integer("SELECT count(*) FROM " + table);
}

// Everything a reader can see, as text.
inline std::string dump(JobStore& store) {
  std::string text;
  for (const char* table :
       {"sweeps",     "spec_revisions", "cells",        "cell_metrics", "cell_jobs", "jobs",    "job_specs",
        "job_shapes", "needs",          "sweep_jobs",   "attempts",     "leases",    "workers", "results",
        "metrics",    "curves",         "environments", "events",       "counters",  "roles"}) {
    auto statement = store.connection().prepare(fmt::format("SELECT * FROM {}", table));
    text += fmt::format("{}\n", table);
    while (*statement->step()) {
      for (int column = 0; column < statement->column_count(); ++column)
        text += fmt::format("{}|", statement->text(column));
      text += "\n";
    }
  }
  return text;
}

}  // namespace gauntlet::store
