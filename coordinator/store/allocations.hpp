// Allocations of batch systems in the store. Thread safety: as the store's.
#pragma once

#include <span>

#include "coordinator/alloc/rows.hpp"
#include "coordinator/store/job_store.hpp"

namespace gauntlet::store {

/// Commits the rows of one decision: all or nothing. Errors: those of JobStore::open.
[[nodiscard]] Status save_allocations(JobStore& store, std::span<const alloc::Transition> transitions);

/// What a restart goes on with. Errors: kCorrupt (a description that cannot be read), those of
/// JobStore::open.
[[nodiscard]] Result<alloc::Rows> load_allocations(JobStore& store);

}  // namespace gauntlet::store
