// Ranks as forked processes that meet over Gloo on loopback: a body runs once per rank, its tensors come back
// in files. The parent must not have computed with torch, whose threads a child does not inherit.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/collective/communicator.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/seeding.hpp"

namespace gauntlet::testing {

using RankBody = std::function<train::NamedTensors(collective::Communicator&)>;

inline std::filesystem::path tensors_of_rank(const std::filesystem::path& folder, std::int64_t rank) {
  return folder / fmt::format("rank{}.safetensors", rank);
}

/// What a child does instead of returning: 0 = its tensors are in its file.
[[noreturn]] inline void run_rank(const std::filesystem::path& folder, std::int64_t rank,
                                  std::int64_t world_size, const RankBody& body) {
  constexpr int kTimeoutS = 120;
  int code = 3;
  try {
    train::set_threads(1);
    auto communicator = world_size == 1 ? collective::make_solo_communicator()
                                        : collective::make_gloo_communicator((folder / "meet").string(), rank,
                                                                             world_size, kTimeoutS)
                                              .value();
    const bool saved = train::save_tensors(tensors_of_rank(folder, rank), body(*communicator)).has_value();
    communicator->barrier();  // nobody leaves while others still talk
    code = saved && !::testing::Test::HasFailure() ? 0 : 4;
  } catch (const std::exception& thrown) {
    fmt::print(stderr, "rank {} of {}: {}\n", rank, world_size, thrown.what());
  }
  std::fflush(nullptr);
  ::_exit(code);
}

/// An empty folder for a gang to meet in.
inline std::filesystem::path meeting_folder(std::int64_t world_size) {
  std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / fmt::format("ranks-{}-{}", ::getpid(), world_size);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

/// How each rank ended, in rank order, as waitpid says it.
inline std::vector<int> fork_ranks(const std::filesystem::path& folder, std::int64_t world_size,
                                   const RankBody& body) {
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (std::int64_t rank = 0; rank < world_size; ++rank) {
    const pid_t child = ::fork();
    if (child == 0) run_rank(folder, rank, world_size, body);
    children.push_back(child);
  }
  std::vector<int> ends;
  for (const pid_t child : children) ::waitpid(child, &ends.emplace_back(), 0);
  return ends;
}

/// Ranks whose body kills rank 0; the others notice and fail.
inline void kill_forked_ranks(std::int64_t world_size, const RankBody& body) {
  const std::filesystem::path folder = meeting_folder(world_size);
  const std::vector<int> ends = fork_ranks(folder, world_size, body);
  EXPECT_TRUE(WIFSIGNALED(ends[0])) << "rank 0 ended with " << ends[0];
  for (std::size_t rank = 1; rank < ends.size(); ++rank) EXPECT_NE(ends[rank], 0) << "rank " << rank;
  std::filesystem::remove_all(folder);
}

/// The tensors of every rank, in rank order; failures of the test for ranks that did not end well.
inline std::vector<train::NamedTensors> on_forked_ranks(std::int64_t world_size, const RankBody& body) {
  const std::filesystem::path folder = meeting_folder(world_size);
  const std::vector<int> ends = fork_ranks(folder, world_size, body);
  std::vector<train::NamedTensors> results;
  for (std::int64_t rank = 0; rank < world_size; ++rank) {
    const int status = ends[static_cast<std::size_t>(rank)];
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "rank " << rank << " ended with " << status;
    auto tensors = train::load_tensors(tensors_of_rank(folder, rank));
    EXPECT_TRUE(tensors) << (tensors ? "" : tensors.error().message);
    results.push_back(tensors ? std::move(*tensors) : train::NamedTensors());
  }
  std::filesystem::remove_all(folder);
  return results;
}

}  // namespace gauntlet::testing
