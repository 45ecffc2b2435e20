"""Every public data set in its on-disk format, tiny: tables of a few rows, pictures of a few pixels made here."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from data_builders.sources.skincon import CONCEPTS
from skinr1.seven_point import CRITERIA

ISIC_COLUMNS = (
    "isic_id,attribution,copyright_license,age_approx,anatom_site_general,diagnosis_1,diagnosis_2,diagnosis_3,"
    "diagnosis_4,fitzpatrick_skin_type,image_type,lesion_id,patient_id,sex"
)


def picture(path: Path, colour: int = 120) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), (200, 150, colour)).save(path)


def table(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def ham10000(root: Path) -> None:
    picture(root / "HAM10000_images_part_1" / "ISIC_0027419.jpg")
    picture(root / "HAM10000_images_part_2" / "ISIC_0025030.jpg")
    table(
        root / "HAM10000_metadata.csv",
        "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset",
        "HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp,vidir_modern",
        "HAM_0000119,ISIC_0025030,akiec,histo,,unknown,unknown,rosendahl",
    )


def isic(root: Path) -> None:
    for number in (1, 2, 3):
        picture(root / f"ISIC_000000{number}.jpg")
    nevus = "Benign,Benign melanocytic proliferations,Nevus,"
    table(
        root / "metadata.csv",
        ISIC_COLUMNS,
        f"ISIC_0000001,Anonymous,CC-0,55,lower extremity,{nevus},II,dermoscopic,IL_0000001,IP_0000001,female",
        f"ISIC_0000002,Clinic,CC-BY-NC,,,{nevus},,clinical: close-up,IL_0000002,IP_0000001,male",
        "ISIC_0000003,Clinic,CC-BY,,,,,,,,dermoscopic,,,",
    )


def isic_2018(root: Path) -> None:
    for part, name in (("Training", "ISIC_0024306"), ("Validation", "ISIC_0034321")):
        picture(root / f"ISIC2018_Task3_{part}_Input" / f"{name}.jpg")
        table(
            root / f"ISIC2018_Task3_{part}_GroundTruth" / f"ISIC2018_Task3_{part}_GroundTruth.csv",
            "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC",
            f"{name},0.0,1.0,0.0,0.0,0.0,0.0,0.0",
        )
    table(
        root / "ISIC2018_Task3_Training_LesionGroupings.csv",
        "image,lesion_id,diagnosis_confirm_type",
        "ISIC_0024306,HAM_0000550,follow-up",
    )


def isic_2019(root: Path) -> None:
    picture(root / "ISIC_2019_Training_Input" / "ISIC_0000000_downsampled.jpg")
    picture(root / "ISIC_2019_Training_Input" / "ISIC_0053453.jpg")
    table(
        root / "ISIC_2019_Training_GroundTruth.csv",
        "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK",
        "ISIC_0000000_downsampled,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0",
        "ISIC_0053453,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0",
    )
    table(
        root / "ISIC_2019_Training_Metadata.csv",
        "image,age_approx,anatom_site_general,lesion_id,sex",
        "ISIC_0000000_downsampled,55.0,anterior torso,MSK4_0011169,female",
        "ISIC_0053453,30.0,,BCN_0000001,male",
    )


def isic_2020(root: Path) -> None:
    picture(root / "train" / "ISIC_2637011.jpg")
    table(
        root / "train.csv",
        "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target",
        "ISIC_2637011,IP_7279968,male,45.0,head/neck,lentigo NOS,benign,0",
    )


def bcn20000(root: Path) -> None:
    picture(root / "BCN_20k_train" / "bcn_20k_train" / "BCN_0000000001.jpg")
    table(
        root / "bcn_20k_train.csv",
        "bcn_filename,age_approx,anatom_site_general,diagnosis,lesion_id,capture_date,sex,split",
        "BCN_0000000001.jpg,55.0,anterior torso,MEL,BCN_0003884,2012-05-16,male,train",
    )


def derm7pt(root: Path) -> None:
    release = root / "release_v0"
    for name in ("NEL/Nel026.jpg", "NEL/NEL025.JPG"):
        picture(release / "images" / name)
    values = ["absent" if c != "pigment_network" else "atypical" for c in CRITERIA]
    table(
        release / "meta" / "meta.csv",
        f"case_num,diagnosis,seven_point_score,{','.join(CRITERIA)},level_of_diagnostic_difficulty,elevation,location,sex,"
        "clinic,derm,case_id,notes,management",
        f"1,melanoma (in situ),2,{','.join(values)},medium,palpable,abdomen,female,"
        "NEL/NEL025.JPG,NEL/Nel026.jpg,,,excision",
    )
    for name, number in (("train", ""), ("valid", "0"), ("test", "")):
        table(release / "meta" / f"{name}_indexes.csv", "indexes", *([number] if number else []))


def derm12345(root: Path) -> None:
    for part, image, label in (("train", "DERM_100103", "jb"), ("test", "DERM_100111", "ch")):
        folder = "derm12345_train_part_1" if part == "train" else "derm12345_test"
        picture(root / folder / label / f"{image}.jpg")
        table(
            root / f"derm12345_metadata_{part}.csv",
            "image_id,malignancy,main_class,sub_class,label",
            f"{image},benign,x,y,{label}",
        )


def pad_ufes_20(root: Path) -> None:
    picture(root / "imgs_part_1" / "PAT_1_2_3.png")
    table(
        root / "metadata.csv",
        "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,skin_cancer_history,"
        "cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,diameter_1,diameter_2,diagnostic,itch,grew,"
        "hurt,changed,bleed,elevation,img_id,biopsed",
        "PAT_1,2,,,,,55,,FEMALE,,,,,3.0,NECK,6.0,5.0,BCC,True,True,UNK,False,True,True,PAT_1_2_3.png,True",
    )


def fitzpatrick17k(root: Path) -> None:
    for digit in "ab":
        picture(root / "images" / f"{digit * 32}.jpg")
    table(
        root / "fitzpatrick17k.csv",
        "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url,url_alphanum",
        f"{'a' * 32},3,3,granuloma pyogenic,benign dermal,benign,,http://x,x",
        f"{'b' * 32},-1,2,lupus subacute,inflammatory,non-neoplastic,3 Wrongly labelled,http://x,x",
    )


def ddi(root: Path) -> None:
    picture(root / "000001.png")
    table(
        root / "ddi_metadata.csv",
        ",DDI_ID,DDI_file,skin_tone,malignant,disease",
        "0,1,000001.png,56,True,melanoma-in-situ",
    )


def scin(root: Path) -> None:
    picture(root / "dataset" / "images" / "-320.png")
    picture(root / "dataset" / "images" / "44.png")
    table(
        root / "scin_cases.csv",
        "case_id,source,release,year,age_group,sex_at_birth,fitzpatrick_skin_type,body_parts_arm,body_parts_leg,"
        "condition_symptoms_itching,condition_symptoms_pain,image_1_path,image_2_path,image_3_path,image_1_shot_type",
        "-1000600354148496558,SCIN,1.0.0,2023,AGE_18_TO_29,FEMALE,FST4,YES,YES,YES,,dataset/images/-320.png,"
        "dataset/images/44.png,,CLOSE_UP",
        "77,SCIN,1.0.0,2023,AGE_UNKNOWN,OTHER_OR_UNSPECIFIED,,,,,,dataset/images/44.png,,,CLOSE_UP",
    )
    weighted = "\"{'Eczema': 0.41, 'Inflicted skin lesions': 0.41, 'Nail pitting': 0.18}\""
    yes = "DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT"
    table(
        root / "scin_labels.csv",
        "case_id,dermatologist_gradable_for_skin_condition_1,dermatologist_skin_condition_on_label_name,"
        "weighted_skin_condition_label,dermatologist_fitzpatrick_skin_type_label_1,"
        "dermatologist_fitzpatrick_skin_type_label_2,monk_skin_tone_label_india,monk_skin_tone_label_us",
        f"-1000600354148496558,{yes},[],{weighted},FST3,FST2,2,1",
        "77,NO_IMAGE_QUALITY_INSUFFICIENT,[],{},,,2,1",
    )


def dermacon_in(root: Path) -> None:
    picture(root / "DATASET" / "DATASET_0" / "IMG_0001.jpg")
    table(
        root / "METADATA" / "Skin_Metadata.csv",
        "Image_name,Subject_ID,Quality,Sex,Age,Gradability,Fitzpatrick,Monk_skin_tone,Body_part,Descriptors,"
        "Main_class(Rook's_Classification),Sub_class,Disease_label,Confidence",
        'IMG_0001.jpg,SUB00001,"Yes, the quality is sufficient for diagnosis",Male,10 - 20,Yes,FST 5,MST 7,Back,'
        "Plaque; Scale,Infectious Disorders,Fungal,Tinea Corporis,4",
    )
    table(root / "METADATA" / "train_split.csv", "Image_name,Plaque,Back", "IMG_0001.jpg,1,1")
    table(root / "METADATA" / "test_split.csv", "Image_name,Plaque,Back")


def dermnet(root: Path) -> None:
    picture(root / "train" / "Eczema Photos" / "eczema-hand-12.jpg")
    picture(root / "test" / "Atopic Dermatitis Photos" / "05PityriasisAlba.jpg")


def msld(root: Path) -> None:
    for fold in (1, 2):
        folder = root / "Original Images" / "Original Images" / "FOLDS" / f"fold{fold}"
        (folder / "Train" / "Monkeypox").mkdir(parents=True)
        picture(folder / "Valid" / "Monkeypox" / "MKP_07_02.jpg")
        picture(root / "Augmented Images" / "FOLDS_AUG" / f"fold{fold}_AUG" / "Train" / "Monkeypox" / "MKP_07_02_1.jpg")


def sd_198(root: Path) -> None:
    picture(root / "images" / "Beau's_Lines" / "030001.jpg")


def skincon(root: Path) -> None:
    fitzpatrick17k(root)
    ones = {"Papule", "Erythema"}
    cells = ["1" if name in ones else "0" for name in CONCEPTS]
    spaced = [name.replace("(", " (") for name in CONCEPTS]  # the spelling of the published file
    table(
        root / "annotations_fitzpatrick17k.csv",
        ",".join(["", "ImageID", *spaced, "Do not consider this image"]),
        ",".join(["0", f"{'a' * 32}.jpg", *cells, "0"]),
        ",".join(["1", f"{'b' * 32}.jpg", *cells, "1"]),
    )


def derm1m(root: Path) -> None:
    picture(root / "youtube" / "abc_frame_1.jpg")
    head = "filename,caption,truncated_caption,source,source_type,disease_label,hierarchical_disease_label,skin_concept"
    path = "proliferations, benign, non-melanocytic, seborrheic keratosis, irritated seborrheic keratosis"
    table(
        root / "Derm1M_v2_pretrain.csv",
        head + ",body_location,symptoms,age,gender",
        f'youtube/abc_frame_1.jpg,"a, b",a,youtube,edu,"irritated seborrheic keratosis (from ""sk/isk"")",'
        f'"{path}","red",'
        '"scalp, neck",No symptom information,80,female',
        "youtube/none.jpg,a,a,youtube,edu,no definitive diagnosis,,No visual concepts,No body location information,x,"
        "No age information,No gender information",
    )


def omnimedvqa(root: Path) -> None:
    picture(root / "Images" / "ISIC2019" / "ISIC_0000001.jpg")
    question = {
        "dataset": "ISIC2019",
        "question_id": "ISIC2019_0001",
        "question_type": "Disease Diagnosis",
        "question": "What is it?",
        "gt_answer": "Melanocytic nevus.",
        "image_path": "Images/ISIC2019/ISIC_0000001.jpg",
        "option_A": "Melanoma",
        "option_B": "Melanocytic nevus.",
        "modality_type": "Dermoscopy",
    }
    folder = root / "QA_information" / "Open-access"
    folder.mkdir(parents=True)
    other = {**question, "question_id": "2", "question_type": "Modality Recognition", "gt_answer": "Dermoscopy"}
    (folder / "ISIC2019.json").write_text(json.dumps([question, other, {**question, "question_id": "3"}]))


LAYOUTS: Mapping[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (
        bcn20000, ddi, derm12345, derm1m, derm7pt, dermacon_in, dermnet, fitzpatrick17k, ham10000, isic, isic_2018,
        isic_2019, isic_2020, msld, omnimedvqa, pad_ufes_20, scin, sd_198, skincon,
    )
}  # fmt: skip
