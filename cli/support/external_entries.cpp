#include "cli/support/external_entries.hpp"

#include <algorithm>

#include "cli/support/sweep_file.hpp"
#include "core/base/files.hpp"

namespace gauntlet::cli {

namespace fs = std::filesystem;

Result<ExternalEntries> read_descriptors(const fs::path& path) {
  std::vector<fs::path> files;
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    files.push_back(path);
  } else {
    for (const auto& file : fs::directory_iterator(path, error)) {
      if (file.path().extension() != ".yaml" || !file.is_regular_file()) continue;
      const Result<std::string> text = read_file(file.path(), spec::kMaxDescriptorBytes);
      if (text && text->find("gauntlet_external") != std::string::npos) files.push_back(file.path());
    }
    if (files.empty())
      return fail(ErrorCode::kNotFound, "{} holds no descriptor (a .yaml file with gauntlet_external: 1)",
                  path.string());
  }
  std::ranges::sort(files);
  ExternalEntries entries;
  for (const fs::path& file : files) {
    GAUNTLET_TRY(auto entry, spec::read_external(file));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<spec::Catalog> catalog_of(std::string_view sweep_text, const fs::path& sweep) {
  ExternalEntries all;
  for (const std::string& written : spec::external_paths(sweep_text)) {
    GAUNTLET_TRY(const fs::path path, find_beside(written, sweep));
    GAUNTLET_TRY(ExternalEntries entries, read_descriptors(path));
    all.insert(all.end(), entries.begin(), entries.end());
  }
  return spec::with_external(spec::Catalog::builtin(), all);
}

}  // namespace gauntlet::cli
