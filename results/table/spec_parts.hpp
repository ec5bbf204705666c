// The larger keys of a table spec, one function each.
#pragma once

#include "results/table/spec_problems.hpp"
#include "results/table/table_spec.hpp"

namespace gauntlet::results {

void read_references(const YAML::Node& value, SpecProblems& problems, TableSpec& spec);
void read_significance(const YAML::Node& value, SpecProblems& problems, TableSpec& spec);
void read_interval(const YAML::Node& value, SpecProblems& problems, TableSpec& spec);
void read_paper(const YAML::Node& value, SpecProblems& problems, TableSpec& spec);
void read_properties(const YAML::Node& value, SpecProblems& problems, TableSpec& spec);

}  // namespace gauntlet::results
