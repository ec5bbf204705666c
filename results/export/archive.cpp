#include "results/export/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "results/export/bundle.hpp"
#include "results/query/text_table.hpp"

namespace gauntlet::results {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxEntries = 1'000'000;
constexpr std::size_t kBlock = std::size_t{64} << 10;

struct EndRead {
  void operator()(::archive* handle) const { archive_read_free(handle); }
};
struct EndWrite {
  void operator()(::archive* handle) const { archive_write_free(handle); }
};
struct EndEntry {
  void operator()(::archive_entry* entry) const { archive_entry_free(entry); }
};

/// The names that write_export gives; nothing else is looked at.
bool is_export_name(std::string_view name) {
  if (name.starts_with("./")) name.remove_prefix(2);
  const auto is_plain = [](std::string_view word) {
    return !word.empty() && std::all_of(word.begin(), word.end(),
                                        [](unsigned char letter) { return std::isalnum(letter) != 0; });
  };
  for (const std::string_view known :
       {"export.json", "sweeps.jsonl", "cells.jsonl", "jobs.jsonl", "rows.csv", "report.html"}) {
    if (name == known) return true;
  }
  for (const auto& [folder, ending] :
       {std::pair<std::string_view, std::string_view>{"sweeps/", ".yaml"}, {"manifests/", ".json"}}) {
    if (name.starts_with(folder) && name.ends_with(ending) && name.size() > folder.size() + ending.size())
      return is_plain(name.substr(folder.size(), name.size() - folder.size() - ending.size()));
  }
  return false;
}

Error archive_error(::archive* handle, const fs::path& path) {
  const char* text = archive_error_string(handle);
  return {ErrorCode::kCorrupt, fmt::format("{} cannot be read as a tar archive: {}", path.string(),
                                           text == nullptr ? "unknown error" : text)};
}

class ArchiveReader {
 public:
  ArchiveReader(const fs::path& path, std::uint64_t max_bytes)
      : path_(path), max_bytes_(max_bytes), handle_(archive_read_new()) {}

  Result<std::map<std::string, std::string>> read() {
    archive_read_support_format_tar(handle_.get());
    archive_read_support_filter_zstd(handle_.get());
    if (archive_read_open_filename(handle_.get(), path_.c_str(), kBlock) != ARCHIVE_OK)
      return fail(archive_error(handle_.get(), path_));
    while (true) {
      ::archive_entry* entry = nullptr;
      const int code = archive_read_next_header(handle_.get(), &entry);
      if (code == ARCHIVE_EOF) return std::move(files_);
      if (code != ARCHIVE_OK) return fail(archive_error(handle_.get(), path_));
      GAUNTLET_CHECK_OK(read_entry(entry));
    }
  }

 private:
  Status read_entry(::archive_entry* entry) {
    if (++n_entries_ > kMaxEntries)
      return fail(ErrorCode::kCorrupt, "{} has more than {} entries", path_.string(), kMaxEntries);
    const char* raw = archive_entry_pathname(entry);
    std::string name = raw == nullptr ? "" : raw;
    const bool folder = archive_entry_filetype(entry) == AE_IFDIR;
    if (folder && (name == "sweeps/" || name == "manifests/" || name == "./")) return {};
    const bool links = archive_entry_hardlink(entry) != nullptr || archive_entry_symlink(entry) != nullptr;
    if (links || archive_entry_filetype(entry) != AE_IFREG || !is_export_name(name)) {
      return fail(ErrorCode::kCorrupt, "{} holds '{}', which is {}; exports have no such entry",
                  path_.string(), printable(name), links ? "a link" : "no file of an export");
    }
    if (name.starts_with("./")) name.erase(0, 2);
    const auto& parts = bundle_parts();
    const bool wanted = std::find(parts.begin(), parts.end(), name) != parts.end();
    if (wanted && files_.contains(name))
      return fail(ErrorCode::kCorrupt, "{} holds '{}' twice", path_.string(), name);
    std::string content;
    GAUNTLET_CHECK_OK(read_content(content, wanted));
    if (wanted) files_.emplace(name, std::move(content));
    return {};
  }

  Status read_content(std::string& content, bool keep) {
    std::string block(kBlock, '\0');
    while (true) {
      const la_ssize_t n = archive_read_data(handle_.get(), block.data(), block.size());
      if (n == 0) return {};
      if (n < 0) return fail(archive_error(handle_.get(), path_));
      n_bytes_ += static_cast<std::uint64_t>(n);
      if (n_bytes_ > max_bytes_) {
        return fail(ErrorCode::kCorrupt, "{} unpacks to more than {} (--max-size)", path_.string(),
                    human_bytes(max_bytes_));
      }
      if (keep) content.append(block.data(), static_cast<std::size_t>(n));
    }
  }

  fs::path path_;
  std::uint64_t max_bytes_;
  std::unique_ptr<::archive, EndRead> handle_;
  std::map<std::string, std::string> files_;
  std::uint64_t n_entries_ = 0;
  std::uint64_t n_bytes_ = 0;
};

Result<std::map<std::string, std::string>> read_folder(const fs::path& folder, std::uint64_t max_bytes) {
  std::map<std::string, std::string> files;
  for (const std::string& name : bundle_parts()) {
    const fs::path path = folder / name;
    std::error_code error;
    const fs::file_status status = fs::symlink_status(path, error);
    if (!fs::exists(status)) continue;  // what is missing is said by who needs it
    if (!fs::is_regular_file(status)) return fail(ErrorCode::kCorrupt, "{} is no plain file", path.string());
    GAUNTLET_TRY(std::string content, read_file(path, max_bytes));
    max_bytes -= content.size();
    files.emplace(name, std::move(content));
  }
  return files;
}

Status write_folder(const fs::path& folder, const std::map<std::string, std::string>& files) {
  for (const auto& [name, content] : files) {
    GAUNTLET_CHECK_OK(make_directories((folder / name).parent_path()));
    GAUNTLET_CHECK_OK(write_file_atomic(folder / name, content));
  }
  return {};
}

Status write_archive(const fs::path& path, const std::map<std::string, std::string>& files) {
  const std::unique_ptr<::archive, EndWrite> handle(archive_write_new());
  const auto check = [&](la_ssize_t code) -> Status {
    if (code >= ARCHIVE_OK) return {};
    const int reason = archive_errno(handle.get());
    if (reason == ENOSPC) return fail(system_error(ENOSPC, "write", path));
    const char* text = archive_error_string(handle.get());
    return fail(ErrorCode::kIo, "cannot write {}: {}", path.string(), text == nullptr ? "?" : text);
  };
  GAUNTLET_CHECK_OK(check(archive_write_set_format_pax_restricted(handle.get())));
  GAUNTLET_CHECK_OK(check(archive_write_add_filter_zstd(handle.get())));
  GAUNTLET_CHECK_OK(check(archive_write_open_filename(handle.get(), path.c_str())));
  for (const auto& [name, content] : files) {
    const std::unique_ptr<::archive_entry, EndEntry> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_mtime(entry.get(), 0, 0);
    GAUNTLET_CHECK_OK(check(archive_write_header(handle.get(), entry.get())));
    GAUNTLET_CHECK_OK(check(archive_write_data(handle.get(), content.data(), content.size())));
  }
  return check(archive_write_close(handle.get()));
}

}  // namespace

Status write_export(const fs::path& target, const std::map<std::string, std::string>& files) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(target, error)))
    return fail(ErrorCode::kRefused, "{} exists already and is not overwritten", target.string());
  fs::path plain = target;
  if (plain.filename().empty()) plain = plain.parent_path();  // "out/"
  const fs::path part = plain.string() + fmt::format(".part-{}", ::getpid());
  const bool archived = plain.string().ends_with(".tar.zst");
  if (!plain.parent_path().empty()) GAUNTLET_CHECK_OK(make_directories(plain.parent_path()));
  Status written = archived ? write_archive(part, files) : write_folder(part, files);
  if (written) {
    fs::rename(part, plain, error);
    if (error) written = fail(system_error(error.value(), "make", plain));
  }
  if (!written) fs::remove_all(part, error);
  return written;
}

Result<std::map<std::string, std::string>> read_export(const fs::path& source, std::uint64_t max_bytes) {
  std::error_code error;
  if (!fs::exists(source, error)) return fail(ErrorCode::kNotFound, "there is no export {}", source.string());
  if (fs::is_directory(source, error)) return read_folder(source, max_bytes);
  return ArchiveReader(source, max_bytes).read();
}

}  // namespace gauntlet::results
