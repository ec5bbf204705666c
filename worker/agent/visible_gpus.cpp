#include "worker/agent/visible_gpus.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>

#include "core/base/subprocess.hpp"

namespace gauntlet::worker {
namespace {

constexpr Milliseconds kLimit{20'000};

std::string_view trimmed(std::string_view word) {
  while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
  while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
  return word;
}

/// By number, or by a beginning of its UUID that no other has. Null: there is none.
const NamedGpu* find_gpu(const std::vector<NamedGpu>& gpus, std::string_view word) {
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), index);
  const bool is_number = error == std::errc{} && end == word.data() + word.size();
  const NamedGpu* found = nullptr;
  for (const NamedGpu& each : gpus) {
    const bool is_meant =
        is_number ? each.gpu.index == index : word.starts_with("GPU-") && each.uuid.starts_with(word);
    if (is_meant && found != nullptr) return nullptr;
    if (is_meant) found = &each;
  }
  return found;
}

/// "3, GPU-8932f937-…" each.
Status add_uuids(std::string_view lines, std::vector<NamedGpu>& gpus) {
  std::istringstream text{std::string(lines)};
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    std::uint32_t index = 0;
    char comma = 0;
    std::string uuid;
    if (!(words >> index >> comma >> uuid) || comma != ',')
      return fail(ErrorCode::kCorrupt, "nvidia-smi says '{}', which is no GPU and its UUID", line);
    for (NamedGpu& each : gpus) {
      if (each.gpu.index == index) each.uuid = uuid;
    }
  }
  return {};
}

}  // namespace

Result<std::vector<AgentGpu>> visible_gpus(const std::vector<NamedGpu>& gpus, std::string_view visible) {
  std::vector<AgentGpu> seen;
  while (!visible.empty()) {
    const std::string_view word = trimmed(visible.substr(0, visible.find(',')));
    visible.remove_prefix(std::min(visible.size(), visible.find(',')));
    if (!visible.empty()) visible.remove_prefix(1);
    if (word.starts_with("MIG-")) {
      return fail(ErrorCode::kInvalid,
                  "CUDA_VISIBLE_DEVICES names '{}', a part of a GPU; a worker offers whole ones only", word);
    }
    const NamedGpu* const found = find_gpu(gpus, word);
    if (found == nullptr) break;
    const bool is_known = std::any_of(seen.begin(), seen.end(),
                                      [&](const AgentGpu& gpu) { return gpu.index == found->gpu.index; });
    if (is_known) break;
    seen.push_back(found->gpu);
  }
  return seen;
}

Result<std::vector<AgentGpu>> usable_gpus() {
  GAUNTLET_TRY(std::vector<AgentGpu> all, list_gpus());
  const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr || all.empty()) return all;
  std::vector<NamedGpu> named;
  for (AgentGpu& gpu : all) named.push_back({std::move(gpu), ""});
  if (std::string_view(visible).find("GPU-") != std::string_view::npos) {
    GAUNTLET_TRY(const SubprocessOutput said,
                 run_subprocess({"nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"}, kLimit));
    GAUNTLET_CHECK_OK(add_uuids(said.out, named));
  }
  return visible_gpus(named, visible);
}

}  // namespace gauntlet::worker
