// Explanation and retrieval sheets from artifacts written by hand.
#include <gmock/gmock.h>

#include <set>

#include "core/data/query_draw.hpp"
#include "core/io/npy.hpp"
#include "core/sheets/explanation.hpp"
#include "core/sheets/retrieval.hpp"
#include "tests/data/small_set.hpp"

namespace gauntlet::sheets {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSubsetOf;
using testing::Not;

/// All words of a sheet.
std::string words_of(const draw::Sheet& sheet) {
  std::string all;
  for (const auto& element : sheet.elements) {
    if (const auto* const words = std::get_if<draw::Words>(&element)) all += words->text + " ";
  }
  return all;
}

std::size_t n_pictures(const draw::Sheet& sheet) {
  std::size_t n = 0;
  for (const auto& element : sheet.elements) n += std::holds_alternative<draw::Picture>(element) ? 1 : 0;
  return n;
}

class Sheets : public ::testing::Test {
 protected:
  void SetUp() override {
    data::SmallSet small;
    small.about =
        R"({"format": 1, "name": "small", "label_names": ["round", "red"], "text_names": ["cat", "<hat>", "mat"]})";
    auto opened = data::PreparedSet::open(small.write(folder_));
    ASSERT_TRUE(opened) << opened.error().message;
    set_ = std::move(*opened);
  }

  artifacts::Artifact artifact(const std::string& name, Json about, std::string entry = "drfgd") {
    artifacts::Artifact made;
    made.folder = folder_ / name;
    std::filesystem::create_directories(made.folder);
    made.job.entry = std::move(entry);
    made.about = std::move(about);
    return made;
  }
  template <class T>
  static void write(const artifacts::Artifact& to, const std::string& name, std::vector<std::int64_t> shape,
                    const std::vector<T>& values) {
    EXPECT_TRUE(io::write_npy<T>(to.file(name), shape, values));
  }

  /// Two bytes of code for each row.
  artifacts::Artifact codes(const std::string& name, const std::vector<std::int64_t>& rows,
                            const std::vector<std::uint8_t>& bytes) {
    artifacts::Artifact made = artifact(name, {{"bits", 8}});
    write<std::uint8_t>(made, "codes.npy", {static_cast<std::int64_t>(rows.size()), 1}, bytes);
    write<std::int64_t>(made, "rows.npy", {static_cast<std::int64_t>(rows.size())}, rows);
    return made;
  }

  /// Of both queries, every map `arf` and `avf` of the picture's rows.
  artifacts::Artifact explained(const std::vector<std::string>& maps, const std::string& side = "image") {
    artifacts::Artifact made =
        artifact("explain", {{"modality", side}, {"n", 2}, {"bits", 32}, {"maps", maps}},
                 maps.empty() ? "box_blur" : "drfgd");
    write<std::int64_t>(made, "rows.npy", {2}, {0, 1});
    const bool is_image = side == "image";
    const std::vector<std::int64_t> shape =
        is_image ? std::vector<std::int64_t>{2, 3, 8, 8} : std::vector<std::int64_t>{2, 3};
    const std::size_t n = is_image ? 384 : 6;
    write<float>(made, "clean.npy", shape, std::vector<float>(n, 0));
    write<float>(made, "adversarial.npy", shape, std::vector<float>(n, 0.125F));
    write<float>(made, "difference.npy", shape, std::vector<float>(n, 0.125F));
    for (const std::string& map : maps) {
      std::vector<float> values(is_image ? 128 : 6, 0);
      values.front() = 1;
      write<float>(made, map + ".npy",
                   is_image ? std::vector<std::int64_t>{2, 8, 8} : std::vector<std::int64_t>{2, 3}, values);
    }
    made.about["numbers"] = {
        {"bits_flipped", {7, 9}}, {"heat_iou", {0.25, nullptr}}, {"heat_cosine_arf_avf", {0.99, 0.97}}};
    return made;
  }

  testing_support::TempFolder folder_;
  data::PreparedSet set_;
  draw::Lettering lettering_;
};

TEST_F(Sheets, HeatMapsHaveAColumnEachAndSayWhatTheyMean) {
  const auto sheet = explanation_sheet(explained({"arf", "avf"}), set_, "Title", lettering_);
  ASSERT_TRUE(sheet) << sheet.error().message;
  EXPECT_EQ(n_pictures(*sheet), 2U * 5 + 1) << "clean, adversarial, difference, two maps; the scale";
  const std::string words = words_of(*sheet);
  EXPECT_THAT(words, HasSubstr("row 1: round, red"));
  EXPECT_THAT(words, HasSubstr("7 of 32 bits flipped"));
  EXPECT_THAT(words, HasSubstr("IoU with ARF: 0.25"));
  EXPECT_THAT(words, HasSubstr("max 31.9 grey levels"));
  EXPECT_THAT(words, HasSubstr("nearly the same"));
  const auto again = explanation_sheet(explained({"arf", "avf"}), set_, "Title", lettering_);
  EXPECT_EQ(draw::to_svg(*sheet).value(), draw::to_svg(*again).value());
  for (const auto& element : sheet->elements) {
    if (const auto* const picture = std::get_if<draw::Picture>(&element)) {
      EXPECT_LE(picture->x + picture->pixels.width * picture->zoom, sheet->width);
      EXPECT_LE(picture->y + picture->pixels.height * picture->zoom, sheet->height);
    }
  }
}

TEST_F(Sheets, TheTopFifthIsOutlinedAndTheRestColoured) {
  const auto sheet = explanation_sheet(explained({"arf"}), set_, "Title", lettering_);
  ASSERT_TRUE(sheet);
  for (const auto& element : sheet->elements) {
    const auto* const picture = std::get_if<draw::Picture>(&element);
    if (picture == nullptr || picture->about != "row 0: arf map") continue;
    EXPECT_EQ(picture->pixels.width, 144);
    // One place of 64 is 1 and outlined, 18 x 18 pixels; places of value 0 are no part of the top fifth.
    const auto at = [&](std::size_t y, std::size_t x) {
      const auto* const pixel = &picture->pixels.pixels[(y * 144 + x) * 3];
      return std::vector<int>{pixel[0], pixel[1], pixel[2]};
    };
    EXPECT_THAT(at(0, 9), ElementsAre(255, 255, 255)) << "upper edge";
    EXPECT_THAT(at(17, 9), ElementsAre(255, 255, 255)) << "lower edge";
    EXPECT_THAT(at(9, 17), ElementsAre(255, 255, 255)) << "right edge";
    EXPECT_THAT(at(40, 0), ElementsAre(55, 12, 66)) << "no outline";
    // 0.65 of violet (68, 1, 84) and 0.35 of grey 31.875, rounded to 32.
    EXPECT_THAT(at(100, 100), ElementsAre(55, 12, 66));
    return;
  }
  FAIL() << "no map on the sheet";
}

TEST_F(Sheets, ADefenseWithoutMapsSaysSoAndShowsTheRest) {
  const auto sheet = explanation_sheet(explained({}), set_, "Title", lettering_);
  ASSERT_TRUE(sheet) << sheet.error().message;
  EXPECT_EQ(n_pictures(*sheet), 2U * 3);
  EXPECT_THAT(words_of(*sheet), HasSubstr("'box_blur' has neither ARF nor AVF maps"));
  const auto one = explanation_sheet(explained({"arf"}), set_, "Title", lettering_);
  EXPECT_THAT(words_of(*one), HasSubstr("without the AVF branch"));
}

TEST_F(Sheets, TextsAreShownAsTheirWords) {
  const auto sheet = explanation_sheet(explained({"arf", "avf"}, "text"), set_, "Title", lettering_);
  ASSERT_TRUE(sheet) << sheet.error().message;
  const std::string words = words_of(*sheet);
  EXPECT_THAT(words, HasSubstr("+ <hat>"));
  EXPECT_THAT(words, HasSubstr("0 -> 0.12"));
  EXPECT_THAT(draw::to_svg(*sheet).value(), Not(HasSubstr("<hat>")));
}

TEST_F(Sheets, ArraysThatDoNotFitAreRefused) {
  artifacts::Artifact made = explained({"arf"});
  write<float>(made, "arf.npy", {2, 4, 8}, std::vector<float>(64, 0));
  const auto sheet = explanation_sheet(made, set_, "Title", lettering_);
  ASSERT_FALSE(sheet);
  EXPECT_EQ(sheet.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(sheet.error().message, HasSubstr("32 values for a query; 64 are right"));
}

TEST_F(Sheets, NearestAreByDistanceThenByTheOrderOfTheSet) {
  // Distances of 0b1111 to the items: 4, 1, 1, 0.
  const artifacts::Artifact queries = codes("queries", {0, 1}, {0b1111, 0});
  const artifacts::Artifact items = codes("items", {5, 4, 3, 2}, {0, 0b0111, 0b1110, 0b1111});
  const auto hits = nearest(queries, items, set_, std::vector<std::int64_t>{0}, 3);
  ASSERT_TRUE(hits) << hits.error().message;
  std::vector<std::int64_t> rows, distances;
  std::vector<bool> relevant;
  for (const Hit& hit : hits->front()) {
    rows.push_back(hit.row);
    distances.push_back(hit.distance);
    relevant.push_back(hit.is_relevant);
  }
  EXPECT_THAT(rows, ElementsAre(2, 4, 3));
  EXPECT_THAT(distances, ElementsAre(0, 1, 1));
  EXPECT_THAT(relevant, ElementsAre(true, false, false)) << "row 4 has no label, row 3 the other one";
  const auto missing = nearest(queries, items, set_, std::vector<std::int64_t>{3}, 3);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "row 3 is no query of the set; its 2 queries lie in rows 0 to 1");
}

TEST_F(Sheets, RetrievalFramesWhatIsRelevant) {
  const artifacts::Artifact clean = codes("clean", {0, 1}, {0b1111, 0});
  const artifacts::Artifact attacked = codes("attacked", {0, 1}, {0, 0});
  const artifacts::Artifact items = codes("items", {2, 3, 4, 5}, {0b1111, 0, 0, 0});
  artifacts::Artifact crafted = artifact("craft", Json::object());
  write<std::int64_t>(crafted, "rows.npy", {2}, {0, 1});
  write<float>(crafted, "inputs.npy", {2, 3, 8, 8}, std::vector<float>(384, 0.5F));
  RetrievalSubject subject{
      .queries = Modality::kImage,
      .crafted = &crafted,
      .retrievals = {{"before the attack", &clean, &items, false}, {"after PGD", &attacked, &items, true}},
      .rows = {0},
      .notes = {"A note."}};
  const auto sheet = retrieval_sheet(subject, set_, "Title", lettering_);
  ASSERT_TRUE(sheet) << sheet.error().message;
  EXPECT_EQ(n_pictures(*sheet), 2U * (1 + 4));
  const std::string words = words_of(*sheet);
  EXPECT_THAT(words, HasSubstr("query row 0 (image): round"));
  EXPECT_THAT(words, HasSubstr("before the attack: 1 of 4 relevant"));
  EXPECT_THAT(words, HasSubstr("A note."));
  std::size_t n_frames = 0;
  for (const auto& element : sheet->elements) {
    const auto* const box = std::get_if<draw::Box>(&element);
    n_frames += box != nullptr && box->line > 1 ? 1 : 0;
  }
  EXPECT_EQ(n_frames, 2U) << "row 2, in both rankings";
}

TEST_F(Sheets, RetrievalShowsChangedWordsOfTexts) {
  const artifacts::Artifact queries = codes("queries", {0, 1}, {0, 0});
  const artifacts::Artifact items = codes("items", {2, 3}, {0, 1});
  artifacts::Artifact crafted = artifact("craft", Json::object());
  write<std::int64_t>(crafted, "rows.npy", {2}, {0, 1});
  write<float>(crafted, "inputs.npy", {2, 3}, {0.5F, 0, 0.25F, 0, 0, 0});
  const RetrievalSubject subject{
      .queries = Modality::kText,
      .crafted = &crafted,
      .retrievals = {{"before", &queries, &items, false}, {"after", &queries, &items, true}},
      .rows = {0},
      .notes = {}};
  const auto sheet = retrieval_sheet(subject, set_, "Title", lettering_);
  ASSERT_TRUE(sheet) << sheet.error().message;
  EXPECT_THAT(words_of(*sheet), HasSubstr("2 of 3 words changed: -cat (0.5), +mat (0.25)"));
}

TEST(QueryDraw, IsSeededWithoutRepetitionAndGrows) {
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 10; row < 60; ++row) rows.push_back(row);
  const auto eight = data::draw_queries(rows, 8, 1);
  EXPECT_EQ(eight, data::draw_queries(rows, 8, 1));
  EXPECT_NE(eight, data::draw_queries(rows, 8, 2));
  EXPECT_EQ(std::set<std::int64_t>(eight.begin(), eight.end()).size(), 8U);
  EXPECT_THAT(eight, IsSubsetOf(rows));
  EXPECT_THAT(data::draw_queries(rows, 4, 1), IsSubsetOf(eight)) << "fewer are some of more";
  EXPECT_EQ(data::draw_queries(rows, 99, 1), rows);
}

}  // namespace
}  // namespace gauntlet::sheets
