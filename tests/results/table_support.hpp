// Tables over made-up databases, and golden files.
#pragma once

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "results/table/pivot.hpp"
#include "results/table/render.hpp"
#include "results/table/table_spec.hpp"
#include "tests/results/synthetic_database.hpp"

namespace gauntlet::testing_support {

using results::make_table;
using results::parse_table_spec;
using results::Table;
using results::TableSpec;

inline const std::filesystem::path kTables =
    std::filesystem::path(GAUNTLET_SOURCE_DIR) / "results" / "tables";
inline const std::filesystem::path kGolden =
    std::filesystem::path(GAUNTLET_SOURCE_DIR) / "tests" / "golden" / "tables";

inline store::JobStore database_of(const std::vector<SyntheticCell>& cells) {
  store::JobStore store = *store::JobStore::open_in_memory();
  fill_database(store, "quickstart", cells);
  return store;
}

inline Result<Table> table_of(const std::vector<SyntheticCell>& cells, const TableSpec& spec) {
  store::JobStore store = database_of(cells);
  return make_table(store.connection(), spec);
}

inline TableSpec spec_of(const std::string& yaml) {
  auto spec = parse_table_spec("gauntlet_table: 1\n" + yaml, "test.yaml");
  EXPECT_TRUE(spec) << spec.error().message;
  return spec.value_or(TableSpec{});
}

// GAUNTLET_UPDATE_GOLDEN=1 writes the files instead of comparing them.
inline void expect_golden(const std::string& name, const std::string& text) {
  const std::filesystem::path path = kGolden / name;
  if (std::getenv("GAUNTLET_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(write_file_atomic(path, text));
    return;
  }
  const auto golden = read_file(path);
  ASSERT_TRUE(golden) << golden.error().message;
  EXPECT_EQ(text, *golden) << path;
}

inline SyntheticCell simple_cell(const std::string& defense, double value) {
  SyntheticCell item;
  item.cell = {.dataset = "d",
               .model = "m",
               .bits = 16,
               .defense = defense,
               .attack = "none",
               .protocol = "none",
               .direction = "i2t",
               .variant = "",
               .seed = 1};
  item.rows = {{ratio("map", value)}};
  return item;
}

}  // namespace gauntlet::testing_support
