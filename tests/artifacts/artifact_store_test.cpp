#include "core/artifacts/artifact_store.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "core/artifacts/manifest.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::artifacts {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

void write(const fs::path& path, std::string_view content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> all;
  if (!fs::exists(folder)) return all;
  for (const auto& entry : fs::directory_iterator(folder)) all.push_back(entry.path());
  return all;
}

class ArtifactStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    job_.kind = spec::JobKind::kEncode;
    job_.entry = "none";
    job_.version = 1;
    job_.config = {{"modality", "image"}, {"part", "query"}};
    job_.seed = 7;
    key_ = key_of(job_).value();
  }

  [[nodiscard]] ArtifactStore store() const {
    return ArtifactStore(workdir_, {"abc123", {{"gauntlet", "0.1.0"}}});
  }

  Result<Artifact> publish(std::string_view codes = "codes") const {
    Result<Draft> draft = store().begin(key_);
    if (!draft) return fail(draft.error());
    write(draft->folder() / "codes.npy", codes);
    write(draft->folder() / "rows.npy", "rows");
    return store().publish(std::move(*draft), job_, key_, {{"bits", 32}});
  }

  /// Opens what must be damaged; the error's message.
  std::string damage() const {
    const Result<Artifact> opened = store().open(job_.kind, key_);
    EXPECT_FALSE(opened.has_value());
    if (opened) return "";
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(opened.error().message, HasSubstr(folder().string()));
    EXPECT_FALSE(store().contains(job_.kind, key_));
    EXPECT_THAT(entries_of(workdir_ / "artifacts" / ".damaged"), SizeIs(1));
    return opened.error().message;
  }

  [[nodiscard]] fs::path folder() const { return store().folder_of(job_.kind, key_); }
  [[nodiscard]] fs::path drafts() const { return workdir_ / "artifacts" / ".tmp"; }

  testing_support::TempFolder temporary_;
  fs::path workdir_ = temporary_.path();
  spec::JobSpec job_;
  JobKey key_;
};

TEST_F(ArtifactStoreTest, GivesBackWhatWasPublished) {
  EXPECT_FALSE(store().contains(job_.kind, key_));
  const Result<Artifact> published = publish();
  ASSERT_TRUE(published) << published.error().message;
  EXPECT_EQ(published->folder, workdir_ / "artifacts" / "encode" / key_.hex().substr(0, 2) / key_.hex());
  EXPECT_THAT(entries_of(drafts()), IsEmpty());

  const Result<Artifact> opened = store().open(job_.kind, key_);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(read_file(opened->file("codes.npy")).value(), "codes");
  EXPECT_EQ(opened->about, Json({{"bits", 32}}));
  EXPECT_EQ(key_of(opened->job).value(), key_);
  EXPECT_EQ(opened->manifest_hash, published->manifest_hash);
  EXPECT_EQ(opened->manifest_hash, to_hex(sha256(read_file(folder() / kManifestName).value())));
}

TEST_F(ArtifactStoreTest, ManifestHoldsHashesAndProvenanceAndNoTimes) {
  ASSERT_TRUE(publish());
  const std::string text = read_file(folder() / kManifestName).value();
  const Json manifest = parse_json(text, "manifest").value();
  EXPECT_EQ(manifest["format"], 1);
  EXPECT_EQ(manifest["kind"], "encode");
  EXPECT_EQ(manifest["key"], key_.hex());
  EXPECT_EQ(manifest["job"], canonical_form(job_));
  EXPECT_EQ(manifest["revision"], "abc123");
  EXPECT_EQ(manifest["versions"]["gauntlet"], "0.1.0");
  EXPECT_EQ(
      manifest["files"][0],
      Json({{"name", "codes.npy"}, {"bytes", 5}, {"sha256", to_hex(sha256(std::string_view("codes")))}}));
  EXPECT_EQ(manifest["files"][1]["name"], "rows.npy");
  EXPECT_EQ(text, canonical_json(manifest).value());

  fs::remove_all(folder());
  ASSERT_TRUE(publish());
  EXPECT_EQ(read_file(folder() / kManifestName).value(), text);
}

TEST_F(ArtifactStoreTest, KeepsFoldersAndStrangeNames) {
  Result<Draft> draft = store().begin(key_);
  ASSERT_TRUE(draft);
  const std::vector<std::string> names = {"a b.npy",      "deep/er/x.npy", "line\nbreak",
                                          "quote\"'.bin", "ünïcødé-🎲.npy", ".hidden"};
  for (const std::string& name : names) write(draft->folder() / name, name);
  ASSERT_TRUE(store().publish(std::move(*draft), job_, key_, Json::object()));
  const Result<Artifact> opened = store().open(job_.kind, key_);
  ASSERT_TRUE(opened) << opened.error().message;
  for (const std::string& name : names) EXPECT_EQ(read_file(opened->file(name)).value(), name);
}

TEST_F(ArtifactStoreTest, RefusesNamesThatAreNotText) {
  Result<Draft> draft = store().begin(key_);
  ASSERT_TRUE(draft);
  write(draft->folder() / "bad\xff.npy", "x");
  const Result<Artifact> published = store().publish(std::move(*draft), job_, key_, Json::object());
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error().code, ErrorCode::kInvalid) << published.error().message;
  EXPECT_FALSE(store().contains(job_.kind, key_));
}

TEST_F(ArtifactStoreTest, RefusesLinksAndAFileNamedAsTheManifest) {
  Result<Draft> linked = store().begin(key_);
  ASSERT_TRUE(linked);
  fs::create_symlink("/etc/hostname", linked->folder() / "link");
  const Result<Artifact> with_link = store().publish(std::move(*linked), job_, key_, Json::object());
  ASSERT_FALSE(with_link);
  EXPECT_THAT(with_link.error().message, HasSubstr("link is neither a file nor a folder"));

  Result<Draft> named = store().begin(key_);
  ASSERT_TRUE(named);
  write(named->folder() / "manifest.json", "{}");
  const Result<Artifact> with_name = store().publish(std::move(*named), job_, key_, Json::object());
  ASSERT_FALSE(with_name);
  EXPECT_THAT(with_name.error().message, HasSubstr("has the manifest's own name"));
  EXPECT_THAT(entries_of(drafts()), IsEmpty());
}

TEST_F(ArtifactStoreTest, SaysWhenThereIsNone) {
  const Result<Artifact> opened = store().open(job_.kind, key_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(opened.error().message, HasSubstr("there is no encode artifact " + key_.brief()));
}

TEST_F(ArtifactStoreTest, SetsAsideAChangedFile) {
  ASSERT_TRUE(publish());
  write(folder() / "codes.npy", "codez");
  EXPECT_THAT(damage(), HasSubstr("the content of codes.npy does not match its hash"));
  EXPECT_TRUE(publish());  // and it can be made again
  EXPECT_TRUE(store().open(job_.kind, key_));
}

TEST_F(ArtifactStoreTest, SetsAsideATruncatedFile) {
  ASSERT_TRUE(publish());
  fs::resize_file(folder() / "codes.npy", 2);
  EXPECT_THAT(damage(), HasSubstr("codes.npy has 2 bytes instead of 5"));
}

TEST_F(ArtifactStoreTest, SetsAsideAMissingFile) {
  ASSERT_TRUE(publish());
  fs::remove(folder() / "rows.npy");
  EXPECT_THAT(damage(), HasSubstr("rows.npy is missing"));
}

TEST_F(ArtifactStoreTest, SetsAsideAFolderWithoutManifest) {
  ASSERT_TRUE(publish());
  fs::remove(folder() / kManifestName);
  EXPECT_THAT(damage(), HasSubstr("manifest.json is missing"));
}

TEST_F(ArtifactStoreTest, SetsAsideAnAlteredManifest) {
  ASSERT_TRUE(publish());
  std::string text = read_file(folder() / kManifestName).value();
  const std::size_t bits = text.find("\"bits\":32");
  ASSERT_NE(bits, std::string::npos);
  text.replace(bits, 9, "\"bits\":16");
  write(folder() / kManifestName, text);
  EXPECT_THAT(damage(), HasSubstr("manifest.json was changed: its digest does not match"));
}

TEST_F(ArtifactStoreTest, SetsAsideHalfAManifest) {
  ASSERT_TRUE(publish());
  fs::resize_file(folder() / kManifestName, 20);
  EXPECT_THAT(damage(), HasSubstr("manifest.json"));
}

TEST_F(ArtifactStoreTest, SetsAsideTheArtifactOfAnotherJob) {
  ASSERT_TRUE(publish());
  spec::JobSpec other = job_;
  other.seed = 8;
  const JobKey other_key = key_of(other).value();
  const fs::path place = store().folder_of(other.kind, other_key);
  fs::create_directories(place.parent_path());
  fs::rename(folder(), place);
  const Result<Artifact> opened = store().open(other.kind, other_key);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("is that of the encode artifact " + key_.brief()));
}

TEST_F(ArtifactStoreTest, ManifestMayNotReachOutOfItsFolder) {
  const Manifest manifest{job_, key_,          Json::object(), {{"../../x", 1, std::string(64, '0')}},
                          "",   Json::object()};
  const Result<Manifest> read = read_manifest(write_manifest(manifest).value());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(read.error().message, HasSubstr("names a file outside its folder: '../../x'"));
}

TEST_F(ArtifactStoreTest, KeepsTheFirstOfTwo) {
  const Result<Artifact> first = publish("codes");
  ASSERT_TRUE(first);
  const Result<Artifact> second = publish("other");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->manifest_hash, first->manifest_hash);
  EXPECT_EQ(read_file(second->file("codes.npy")).value(), "codes");
  EXPECT_THAT(entries_of(drafts()), IsEmpty());
}

TEST_F(ArtifactStoreTest, ReplacesADamagedOneWhenPublishing) {
  ASSERT_TRUE(publish("codes"));
  fs::remove(folder() / "rows.npy");
  const Result<Artifact> second = publish("other");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(read_file(second->file("codes.npy")).value(), "other");
}

TEST_F(ArtifactStoreTest, ProcessesMayPublishOneKeyAtOnce) {
  constexpr int kProcesses = 4;
  int gate[2];
  ASSERT_EQ(::pipe(gate), 0);
  std::vector<pid_t> children;
  for (int n = 0; n < kProcesses; ++n) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      char byte = 0;
      ::close(gate[1]);
      static_cast<void>(::read(gate[0], &byte, 1));  // until the parent closes its end: all start together
      bool good = true;
      for (int round = 0; round < 20; ++round) good = good && publish(fmt::format("by {}", n)).has_value();
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  ::close(gate[0]);
  ::close(gate[1]);
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const Result<Artifact> opened = store().open(job_.kind, key_);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_THAT(entries_of(drafts()), IsEmpty());
  EXPECT_THAT(entries_of(workdir_ / "artifacts" / ".damaged"), IsEmpty());
}

TEST_F(ArtifactStoreTest, NamesTheFolderItCannotWrite) {
  write(workdir_ / "artifacts", "a file where the folder should be");
  const Result<Draft> draft = store().begin(key_);
  ASSERT_FALSE(draft);
  EXPECT_EQ(draft.error().code, ErrorCode::kIo);
  EXPECT_THAT(draft.error().message, HasSubstr((workdir_ / "artifacts").string()));
}

TEST_F(ArtifactStoreTest, NamesTheReadOnlyFolder) {
  constexpr uid_t kNobody = 65534;  // root may write anywhere
  const bool is_root = ::geteuid() == 0;
  ASSERT_EQ(::chmod(workdir_.c_str(), 0555), 0);
  ASSERT_EQ(::seteuid(is_root ? kNobody : ::geteuid()), 0);
  const Result<Draft> draft = store().begin(key_);
  ASSERT_EQ(::seteuid(is_root ? 0 : ::geteuid()), 0);
  ASSERT_EQ(::chmod(workdir_.c_str(), 0755), 0);
  ASSERT_FALSE(draft);
  EXPECT_EQ(draft.error().code, ErrorCode::kIo);
  EXPECT_THAT(draft.error().message, HasSubstr((workdir_ / "artifacts").string()));
  EXPECT_THAT(draft.error().message, EndsWith(": Permission denied"));
}

TEST_F(ArtifactStoreTest, DropsAnUnpublishedDraft) {
  {
    Result<Draft> draft = store().begin(key_);
    ASSERT_TRUE(draft);
    write(draft->folder() / "codes.npy", "half");
    EXPECT_THAT(entries_of(drafts()), SizeIs(1));
  }
  EXPECT_THAT(entries_of(drafts()), IsEmpty());
}

TEST_F(ArtifactStoreTest, RemovesDraftsOfDeadProcessesOnly) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Result<Draft> draft = store().begin(key_);
    if (draft) write(draft->folder() / "codes.npy", "half");
    ::_exit(draft ? 0 : 1);  // no destructors: as if it had been killed
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  const Result<Draft> alive = store().begin(key_);
  ASSERT_TRUE(alive);
  const fs::path foreign = drafts() / "1.1.0.abc.another-machine";
  const fs::path old = drafts() / "1.1.0.abc.a-third-machine";
  fs::create_directory(foreign);
  fs::create_directory(old);
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(24 * 8));
  ASSERT_THAT(entries_of(drafts()), SizeIs(4));
  store().remove_stale_drafts();
  EXPECT_THAT(entries_of(drafts()), ::testing::UnorderedElementsAre(alive->folder(), foreign));
}

}  // namespace
}  // namespace gauntlet::artifacts
