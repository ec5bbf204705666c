// An existing prepared folder, made by `gauntlet data prepare` or by anyone who writes its five files.
#include <fmt/core.h>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/data/dataset.hpp"
#include "core/data/detail/file_hashes.hpp"
#include "core/data/detail/prepared_files.hpp"
#include "core/data/prepared_set.hpp"

namespace gauntlet::data {
namespace {

struct PreparedConfig {
  std::string path;  ///< where the folder is; what is in it is the content id

  static void fields(auto& self, auto& visit) {
    visit("path", self.path,
          {.doc = "The prepared folder (images.npy or image_features.npy, text.npy, labels.npy, split.npy, "
                  "dataset.json).",
           .location = true});
  }
};

Result<PreparedConfig> config_from(const Json& config) {
  GAUNTLET_TRY(const PreparedConfig options, read_config<PreparedConfig>(config, "prepared"));
  if (options.path.empty())
    return fail(ErrorCode::kInvalid, "prepared: 'path' is missing; give the prepared folder");
  return options;
}

Result<std::string> content_id(const Json& config) {
  GAUNTLET_TRY(const PreparedConfig options, config_from(config));
  GAUNTLET_CHECK_OK(PreparedSet::open(options.path));
  std::string lines;
  for (const std::string_view name : detail::files_of(options.path)) {
    GAUNTLET_TRY(const std::string hash, detail::cached_sha256(std::filesystem::path(options.path) / name));
    lines += fmt::format("{} {}\n", hash, name);
  }
  return to_hex(sha256(lines));
}

Status prepare(const Json& config, const std::filesystem::path& folder, int /*n_threads*/,
               const ProgressFn& progress) {
  GAUNTLET_TRY(const PreparedConfig options, config_from(config));
  const std::filesystem::path source = options.path;
  GAUNTLET_TRY(const PreparedSet set, PreparedSet::open(source));
  if (const Status values = detail::check_values(set, source); !values) {
    return fail(values.error().code, "{}: {}", options.path, values.error().message);
  }
  const auto files = detail::files_of(source);
  for (std::size_t done = 0; done < files.size(); ++done) {
    if (progress) progress(static_cast<double>(done) / static_cast<double>(files.size()), "copying files");
    std::error_code error;
    std::filesystem::copy_file(source / files[done], folder / files[done], error);
    if (error) return fail(system_error(error.value(), "copy a file to", folder / files[done]));
  }
  if (progress) progress(1.0, "copying files");
  return {};
}

}  // namespace

extern const DatasetEntry prepared_entry;
constinit const DatasetEntry prepared_entry{
    .about = {.name = "prepared",
              .version = 1,
              .summary = "A prepared folder that exists already; its identity is a hash over its files",
              .reference = "docs/data.md",
              .fields = &describe_fields<PreparedConfig>},
    .content_id = &content_id,
    .prepare = &prepare};

}  // namespace gauntlet::data
