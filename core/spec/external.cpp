#include "core/spec/external.hpp"

#include <array>
#include <cstdlib>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/base/text.hpp"
#include "core/spec/detail/external_reader.hpp"

namespace gauntlet::spec {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 5> kTaskNames = {"train", "encode", "craft", "purify", "measure"};
/// Of the hash in a version: 48 bits, an integer that every reader of JSON keeps exactly.
constexpr std::size_t kVersionDigits = 12;

Status hash_file(const fs::path& folder, const std::string& name, std::size_t max_bytes, Sha256& hash) {
  const fs::path path = folder / name;
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (status.type() == fs::file_type::not_found)
    return fail(ErrorCode::kNotFound, "{} lists the file {}, which does not exist", folder.string(), name);
  // A link could lead anywhere; what is hashed is what is copied.
  if (status.type() != fs::file_type::regular || fs::relative(path, folder, error).string().starts_with(".."))
    return fail(ErrorCode::kInvalid, "{} is no ordinary file of the descriptor's folder", path.string());
  GAUNTLET_TRY(const MappedFile content, MappedFile::open(path));
  if (content.bytes().size() > max_bytes)
    return fail(ErrorCode::kInvalid, "{} has {}; allowed: {}", path.string(),
                human_bytes(content.bytes().size()), human_bytes(max_bytes));
  const std::string head = fmt::format("{}\n{}\n", name, content.bytes().size());
  hash.update(std::as_bytes(std::span(head)));
  hash.update(content.bytes());
  return {};
}

}  // namespace

std::string_view name_of(ExternalTask task) { return kTaskNames[static_cast<std::size_t>(task)]; }

Result<ExternalTask> external_task_from(std::string_view name) {
  for (std::size_t task = 0; task < kTaskNames.size(); ++task) {
    if (kTaskNames[task] == name) return static_cast<ExternalTask>(task);
  }
  const std::vector<std::string> known(kTaskNames.begin(), kTaskNames.end());
  return fail(ErrorCode::kInvalid, "{}", unknown_name_message("task of an external entry", name, known));
}

Result<ExternalEntry> parse_external(std::string_view text, std::string_view file) {
  detail::YamlTree tree = detail::read_yaml(text);
  detail::Report report;
  report.add_all(std::move(tree.problems));
  ExternalEntry entry;
  if (tree.root != nullptr) entry = detail::read_descriptor(*tree.root, report);
  if (report.empty()) return entry;
  std::string all;
  for (const Problem& problem : report.take()) all += (all.empty() ? "" : "\n") + to_text(problem, file);
  return fail(ErrorCode::kInvalid, "{}", all);
}

Result<std::shared_ptr<const ExternalEntry>> read_external(const fs::path& path) {
  GAUNTLET_TRY(const std::string text, read_file(path, kMaxDescriptorBytes));
  GAUNTLET_TRY(ExternalEntry parsed, parse_external(text, path.string()));
  auto entry = std::make_shared<ExternalEntry>(std::move(parsed));
  std::error_code error;
  entry->descriptor = fs::absolute(path, error).lexically_normal();
  const fs::path folder = entry->descriptor.parent_path();
  if (!entry->venv.empty()) entry->venv = (folder / entry->venv).lexically_normal().string();
  Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
  const std::size_t max_bytes = entry->given.empty() ? kMaxExternalFileBytes : kMaxGivenBytes;
  for (const std::string& file : entry->files) GAUNTLET_CHECK_OK(hash_file(folder, file, max_bytes, hash));
  entry->hash = to_hex(hash.finish());
  return std::shared_ptr<const ExternalEntry>(std::move(entry));
}

CatalogEntry to_catalog_entry(const std::shared_ptr<const ExternalEntry>& external) {
  CatalogEntry entry = external->about;
  entry.version =
      static_cast<std::int64_t>(std::strtoull(external->hash.substr(0, kVersionDigits).c_str(), nullptr, 16));
  entry.external = external;
  return entry;
}

std::vector<std::string> external_paths(std::string_view sweep_text) {
  // Sweeps may be large, and most name none.
  if (sweep_text.find("external") == std::string_view::npos) return {};
  const detail::YamlTree tree = detail::read_yaml(sweep_text);
  std::vector<std::string> paths;
  const detail::YamlNode* node = tree.root == nullptr ? nullptr : tree.root->find("external");
  if (node == nullptr) return paths;
  for (const detail::YamlNode* item : detail::values_of(*node)) {
    if (item->is_scalar() && !item->text.empty()) paths.push_back(item->text);
  }
  return paths;
}

Result<Catalog> with_external(const Catalog& catalog,
                              const std::vector<std::shared_ptr<const ExternalEntry>>& entries) {
  Catalog all = catalog;
  for (const auto& external : entries) {
    if (const Status added = all.add(external->kind, to_catalog_entry(external)); !added)
      return fail(ErrorCode::kInvalid, "{}: {}", external->descriptor.string(), added.error().message);
  }
  return all;
}

}  // namespace gauntlet::spec
