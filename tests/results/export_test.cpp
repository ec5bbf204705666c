#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>

#include <fstream>

#include "results/export/archive.hpp"
#include "results/export/bundle.hpp"
#include "results/export/report.hpp"
#include "results/table/html_text.hpp"
#include "tests/results/golden.hpp"
#include "tests/results/synthetic_database.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::results {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing_support::expect_golden;
using testing_support::fill_database;
using testing_support::quickstart_cells;
using testing_support::SyntheticCell;

constexpr std::uint64_t kMaxBytes = 64 << 20;

class ExportFiles : public testing::Test {
 protected:
  /// The quickstart's first cells; a few readings, a number that is none, and names that HTML would obey.
  [[nodiscard]] Result<Bundle> bundle(const BundleSelection& selection = {}) const {
    std::vector<SyntheticCell> cells = quickstart_cells();
    cells.resize(6);
    cells[0].rows->front().per_query = {0.1F, 1.0F / 3, std::nanf("")};
    cells[1].rows->front().value = std::nan("");
    cells[2].cell.variant = "<script>alert(1)</script>|\"'";
    cells[5].rows.reset();
    store::JobStore store = *store::JobStore::open_in_memory();
    fill_database(store, "<b>quick & \"start\"</b>", cells);
    return collect(store.connection(), selection);
  }
  [[nodiscard]] const fs::path& folder() const { return folder_.path(); }

  /// A precision-recall curve for each evaluation that is done.
  static void add_curves(Bundle& bundle) {
    float drop = 0.3F;
    for (BundleJob& job : bundle.jobs) {
      if (job.rows.empty()) continue;
      spec::Curve curve{
          .name = "pr:radius_micro", .x_label = "recall", .y_label = "precision", .x = {}, .y = {}};
      for (int at = 0; at <= 10; ++at) {
        curve.x.push_back(0.1F * static_cast<float>(at));
        curve.y.push_back(0.9F - drop * curve.x.back());
      }
      job.curves.push_back(std::move(curve));
      drop += 0.1F;
    }
  }
  /// An archive as somebody else might have made it.
  template <class Fill>
  [[nodiscard]] fs::path archive_of(const Fill& fill) const {
    const fs::path path = folder() / "strange.tar.zst";
    fs::remove(path);
    ::archive* handle = archive_write_new();
    archive_write_set_format_pax_restricted(handle);
    archive_write_add_filter_zstd(handle);
    EXPECT_EQ(archive_write_open_filename(handle, path.c_str()), ARCHIVE_OK);
    fill(handle);
    archive_write_free(handle);
    return path;
  }
  static void add(::archive* handle, const std::string& name, const std::string& content,
                  unsigned type = AE_IFREG, const char* link = nullptr) {
    ::archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    if (type == AE_IFLNK) archive_entry_set_symlink(entry, link);
    if (type == AE_IFREG && link != nullptr) archive_entry_set_hardlink(entry, link);
    EXPECT_EQ(archive_write_header(handle, entry), ARCHIVE_OK);
    archive_write_data(handle, content.data(), content.size());
    archive_entry_free(entry);
  }
  [[nodiscard]] std::string complaint(const fs::path& path, std::uint64_t max_bytes = kMaxBytes) const {
    const auto files = read_export(path, max_bytes);
    return files ? "accepted" : files.error().message;
  }

 private:
  testing_support::TempFolder folder_;
};

TEST_F(ExportFiles, LookAsTheyDid) {
  auto made = bundle();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(made->cells, SizeIs(6));
  add_curves(*made);
  for (const auto& [name, content] : files_of(*made)) expect_golden("export/" + name, content);
  expect_golden("export/report.html", report_of(*made, "0.0 (golden)"));
}

TEST_F(ExportFiles, ComeBackAsTheyWere) {
  auto made = bundle();
  ASSERT_TRUE(made) << made.error().message;
  add_curves(*made);
  const auto files = files_of(*made);
  for (const char* name : {"folder", "file.tar.zst"}) {
    ASSERT_TRUE(write_export(folder() / name, files));
    const auto read = read_export(folder() / name, kMaxBytes);
    ASSERT_TRUE(read) << read.error().message;
    const auto again = bundle_from(*read);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(files_of(*again), files) << name;
    const auto refused = write_export(folder() / name, files);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
  }
  ASSERT_TRUE(write_export(folder() / "twin.tar.zst", files));
  EXPECT_EQ(*read_file(folder() / "twin.tar.zst"), *read_file(folder() / "file.tar.zst"));
}

TEST_F(ExportFiles, SelectionsAndMistakes) {
  const auto narrow = bundle({.sweeps = {}, .where = "direction=t2i"});
  ASSERT_TRUE(narrow) << narrow.error().message;
  for (const BundleCell& cell : narrow->cells) EXPECT_EQ(cell.cell.direction, "t2i");
  EXPECT_THAT(bundle({.sweeps = {"quick"}, .where = ""}).error().message, HasSubstr("unknown sweep 'quick'"));
  EXPECT_THAT(bundle({.sweeps = {}, .where = "seed=77"}).error().message, HasSubstr("no cell"));
}

TEST_F(ExportFiles, TheReportChecksOutWhatGitKnows) {
  auto made = bundle();
  ASSERT_TRUE(made) << made.error().message;
  const auto report_on = [&](const char* revision) {
    made->sweeps[0].code_revision = revision;
    return report_of(*made, "0.0");
  };
  EXPECT_THAT(report_on("abc123"), HasSubstr("git checkout &#39;abc123&#39;\n"));
  EXPECT_THAT(report_on("abc123+changes"),
              HasSubstr("git checkout &#39;abc123&#39;  # the code had changes"));
  EXPECT_THAT(report_on("unknown"), Not(HasSubstr("git checkout")));
}

TEST_F(ExportFiles, TheReportEscapesEverything) {
  const auto made = bundle();
  ASSERT_TRUE(made) << made.error().message;
  const std::string html = report_of(*made, "0.0");
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("<b>quick"))));
  EXPECT_THAT(html, AllOf(HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;|&quot;&#39;"),
                          HasSubstr("&lt;b&gt;quick &amp; &quot;start&quot;&lt;/b&gt;")));
  EXPECT_THAT(html, Not(HasSubstr("http://"))) << "nothing comes from elsewhere";
  EXPECT_THAT(html, Not(HasSubstr("src=")));
  EXPECT_EQ(html_lines("a\x1b[31m\t"), "a\\x1b[31m\\t");
}

TEST_F(ExportFiles, ChangedFilesAreRefused) {
  const auto made = bundle();
  ASSERT_TRUE(made) << made.error().message;
  const auto files = files_of(*made);
  const auto refusal = [&](const std::string& name, const std::string& content) {
    auto changed = files;
    changed[name] = content;
    if (name != "export.json") {  // as somebody would who knows of the hashes
      Json index = Json::parse(changed["export.json"]);
      index["files"][name] = to_hex(sha256(content));
      changed["export.json"] = index.dump();
    }
    const auto read = bundle_from(changed);
    return read ? "accepted" : read.error().message;
  };
  auto tampered = files;
  tampered["jobs.jsonl"] += "\n";
  EXPECT_THAT(bundle_from(tampered).error().message, HasSubstr("jobs.jsonl is not what export.json says"));
  tampered.erase("jobs.jsonl");
  EXPECT_THAT(bundle_from(tampered).error().message, HasSubstr("jobs.jsonl is missing"));
  EXPECT_THAT(refusal("export.json", "{}"), HasSubstr("not that of an export"));
  EXPECT_THAT(refusal("jobs.jsonl", ""), HasSubstr("which is not there"));
  EXPECT_THAT(refusal("jobs.jsonl", "{]\n"), HasSubstr("jobs.jsonl:1"));
  EXPECT_THAT(refusal("jobs.jsonl", "{}\n"), HasSubstr("jobs.jsonl:1: "));
  EXPECT_THAT(refusal("cells.jsonl", "[1]\n"), HasSubstr("cells.jsonl:1: "));
  std::string other = files.at("jobs.jsonl");
  const std::size_t at = other.find("\"bits\":32");
  ASSERT_NE(at, std::string::npos);
  other.replace(at, 9, "\"bits\":16");
  EXPECT_THAT(refusal("jobs.jsonl", other), HasSubstr("is not what its key says"));
}

TEST_F(ExportFiles, HostileArchivesAreRefusedByName) {
  for (const char* name : {"../export.json", "/etc/passwd", "sweeps/../../x.yaml", "sweeps/a/b.yaml", "other",
                           "manifests/.json", "./../export.json", "sweeps/\x1b.yaml"}) {
    const fs::path path = archive_of([&](::archive* handle) { add(handle, name, "x"); });
    EXPECT_THAT(complaint(path), AllOf(HasSubstr("exports have no such entry"), Not(HasSubstr("\x1b"))))
        << name;
  }
  EXPECT_THAT(complaint(archive_of(
                  [](::archive* handle) { add(handle, "export.json", "", AE_IFLNK, "/etc/passwd"); })),
              HasSubstr("'export.json', which is a link"));
  EXPECT_THAT(complaint(archive_of([](::archive* handle) {
                add(handle, "jobs.jsonl", "x");
                add(handle, "export.json", "", AE_IFREG, "jobs.jsonl");
              })),
              HasSubstr("which is a link"));
  EXPECT_THAT(complaint(archive_of([](::archive* handle) { add(handle, "export.json", "", AE_IFIFO); })),
              HasSubstr("no file of an export"));
  EXPECT_THAT(complaint(archive_of([](::archive* handle) {
                add(handle, "export.json", "{}");
                add(handle, "./export.json", "{}");
              })),
              HasSubstr("'export.json' twice"));
  // A bomb: a few kilobytes that unpack to 32 MiB, also in a file that nobody needs.
  for (const char* name : {"jobs.jsonl", "rows.csv"}) {
    const fs::path bomb =
        archive_of([&](::archive* handle) { add(handle, name, std::string(32 << 20, ' ')); });
    EXPECT_LT(fs::file_size(bomb), 100'000U);
    EXPECT_THAT(complaint(bomb, 1 << 20), HasSubstr("unpacks to more than 1.0 MiB")) << name;
  }
  std::ofstream(folder() / "text.tar.zst") << "not an archive";
  EXPECT_THAT(complaint(folder() / "text.tar.zst"), HasSubstr("cannot be read as a tar archive"));
  EXPECT_THAT(complaint(folder() / "absent"), HasSubstr("there is no export"));
  fs::create_directories(folder() / "linked");
  fs::create_symlink("/etc/passwd", folder() / "linked" / "export.json");
  EXPECT_THAT(complaint(folder() / "linked"), HasSubstr("is no plain file"));
}

}  // namespace
}  // namespace gauntlet::results
